// What was asked and answered. A phrase with a mask lights it in the viewer, and is lit when the mask is pointed at;
// a suggested question is sent to the server ("suggested").
const log = element.querySelector(".talk-log");
const suggestions = element.querySelector(".talk-suggestions");
let written = []; // each turn that is shown, as JSON
let offered = ""; // the suggestions that are shown, likewise

const tell = (detail) => document.dispatchEvent(new CustomEvent("perceptio:lit", { detail }));

function make(tag, name, text) {
  const node = document.createElement(tag);
  node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

function phrase(turn, piece) {
  const button = make("button", "talk-phrase", piece.text);
  button.type = "button";
  button.dataset.masks = piece.masks.join();
  button.style.setProperty("--color", piece.color);
  button.title = "score " + piece.score;
  for (const name of ["pointerenter", "focus", "click"]) {
    button.addEventListener(name, () => tell({ turn, masks: piece.masks }));
  }
  for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => tell({ turn, masks: [] }));
  return button;
}

function turnOf(turn, index) {
  const node = make("article", "talk-turn");
  node.setAttribute("aria-busy", Boolean(turn.progress));
  node.append(make("p", "talk-question", turn.question));
  if (turn.pieces.length) {
    const answer = make("p", "talk-answer");
    answer.append(...turn.pieces.map((piece) => (piece.masks ? phrase(index, piece) : piece.text)));
    node.append(answer);
  }
  if (turn.progress) {
    const progress = make("p", "talk-progress", turn.progress);
    node.append(progress);
  }
  if (turn.note) node.append(make("p", "talk-note", turn.note));
  node.addEventListener("pointerenter", () => tell({ turn: index, masks: [] }));
  return node;
}

function suggestion(question, busy) {
  const button = make("button", "talk-suggestion", question);
  button.type = "button";
  button.disabled = busy;
  button.addEventListener("click", () => {
    log.focus({ preventScroll: true }); // the button goes
    trigger("suggested", { question });
  });
  return button;
}

function show() {
  const { turns = [], suggested = [], steps = [], busy = false } = props.value || {};
  const texts = turns.map((turn) => JSON.stringify(turn));
  texts.forEach((text, index) => {
    if (text === written[index]) return;
    const node = turnOf(turns[index], index);
    if (log.children[index]?.matches("article")) log.children[index].replaceWith(node);
    else {
      if (!index) log.replaceChildren();
      log.append(node);
    }
  });
  while (log.children.length > turns.length) log.lastElementChild.remove();
  if (!turns.length) {
    const list = make("ol", "talk-steps");
    list.append(...steps.map((step) => make("li", "", step)));
    log.replaceChildren(list);
  }
  if (texts.join() !== written.join()) {
    log.scrollTop = log.scrollHeight;
    mark({ turn: turns.length - 1, masks: [] });
  }
  written = texts;
  const text = JSON.stringify([suggested, busy]);
  if (text !== offered) suggestions.replaceChildren(...suggested.map((question) => suggestion(question, busy)));
  offered = text;
  document.body.classList.toggle("perceptio-busy", busy);
}

function mark(lit) {
  [...log.children].forEach((node, index) => {
    node.classList.toggle("is-shown", index === lit.turn);
    node.querySelectorAll(".talk-phrase").forEach((button) => {
      const own = button.dataset.masks.split(",").map(Number);
      button.classList.toggle("is-lit", index === lit.turn && own.some((mask) => lit.masks.includes(mask)));
    });
  });
}

document.addEventListener("perceptio:lit", ({ detail }) => mark(detail));

watch("value", show);
show();
