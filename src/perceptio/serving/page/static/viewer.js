// The picture with its masks and depth map. All that hovering, sliding and dragging does happens here, in the browser;
// the server hears of a click ("pointed"), a box ("pointed") and an example ("chosen").
const find = (name) => element.querySelector(".viewer-" + name);
const figure = element.querySelector(".viewer");
const [stage, picture, depth, masks, divider] = ["stage", "picture", "depth", "masks", "divider"].map(find);
const [box, cross, label, draw] = ["box", "cross", "label", "draw"].map(find);
const canvas = depth.querySelector("canvas");
const map = depth.querySelector("img");
const SVG = "http://www.w3.org/2000/svg";
const CLICK = 5; // px that a pointer may move in a click
const STEP = 0.02; // of a side, that an arrow key moves the cross

let shown = { turn: null, masks: [] }; // what is lit
let painted = ""; // the masks that are drawn, as JSON
let source = null; // of the picture that is shown
let slid = false; // the divider was placed by hand

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const state = () => props.value || {};
const lastTurn = () => (state().turns || []).length - 1;
const tell = (detail) => document.dispatchEvent(new CustomEvent("perceptio:lit", { detail }));

// -- what is shown ----------------------------------------------------------------------------------------------

function show() {
  const { picture: image, depth: found, busy } = state();
  figure.classList.toggle("is-empty", !image);
  figure.classList.toggle("is-busy", Boolean(busy));
  if (image && image.src !== source) {
    source = image.src;
    picture.src = image.src;
    picture.alt = image.alt;
    stage.style.setProperty("--width", image.width);
    stage.style.setProperty("--height", image.height);
    masks.setAttribute("viewBox", "0 0 " + image.width + " " + image.height);
    box.hidden = cross.hidden = true;
    corner = at = null;
    slid = false;
    split(100);
  }
  showDepth(found);
  shown = { turn: lastTurn(), masks: [] };
  showMasks();
}

function showDepth(found) {
  divider.hidden = depth.hidden = find("legend").hidden = !found;
  if (!found) return;
  canvas.hidden = !found.colors;
  map.hidden = !found.src;
  if (found.colors) {
    canvas.width = canvas.height = found.grid;
    const paint = canvas.getContext("2d");
    found.colors.forEach((color, index) => {
      paint.fillStyle = color;
      paint.fillRect(index % found.grid, Math.floor(index / found.grid), 1, 1);
    });
  } else if (map.getAttribute("src") !== found.src) {
    map.src = found.src;
    map.alt = "Depth map: bright is near, dark is far.";
  }
  if (!slid) split(50);
}

function showMasks() {
  const turns = state().turns || [];
  const marks = turns[shown.turn] || [];
  const text = JSON.stringify([shown.turn, marks]);
  if (text !== painted) masks.replaceChildren(...marks.map(drawMask));
  painted = text;
  light();
}

function drawMask(mark, index) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", mark.path);
  path.setAttribute("role", "img");
  path.setAttribute("aria-label", mark.label);
  path.style.setProperty("--color", mark.color);
  path.addEventListener("pointerenter", () => tell({ turn: shown.turn, masks: [index] }));
  path.addEventListener("pointerleave", () => tell({ turn: shown.turn, masks: [] }));
  return path;
}

function light() {
  const marks = (state().turns || [])[shown.turn] || [];
  const mark = marks[shown.masks[0]];
  masks.classList.toggle("has-lit", Boolean(mark));
  [...masks.children].forEach((path, index) => path.classList.toggle("is-lit", shown.masks.includes(index)));
  label.hidden = shown.masks.length !== 1 || !mark;
  if (label.hidden) return;
  label.textContent = mark.label;
  label.style.setProperty("--color", mark.color);
  const { clientWidth: width, clientHeight: height } = stage;
  const half = label.offsetWidth / 2 + 6;
  label.style.left = clamp((mark.top[0] / state().picture.width) * width, half, width - half) + "px";
  label.style.top = clamp((mark.top[1] / state().picture.height) * height, label.offsetHeight + 12, height) + "px";
}

document.addEventListener("perceptio:lit", ({ detail }) => {
  if (!element.isConnected) return;
  const other = detail.turn !== shown.turn;
  shown = detail;
  if (other) {
    box.hidden = cross.hidden = true;
    showMasks();
  } else light();
});

// -- the divider between picture and depth map ------------------------------------------------------------------

function split(percent) {
  const value = Math.round(clamp(percent, 0, 100));
  stage.style.setProperty("--split", value + "%");
  divider.setAttribute("aria-valuenow", value);
}

divider.addEventListener("pointerdown", (event) => {
  event.stopPropagation();
  divider.setPointerCapture(event.pointerId);
  slid = true;
});
divider.addEventListener("pointermove", (event) => {
  if (divider.hasPointerCapture(event.pointerId)) split(place(event)[0] * 100);
});
divider.addEventListener("keydown", (event) => {
  const now = Number(divider.getAttribute("aria-valuenow"));
  const to = { ArrowLeft: now - 5, ArrowDown: now - 5, ArrowRight: now + 5, ArrowUp: now + 5, Home: 0, End: 100 };
  if (!(event.key in to)) return;
  event.preventDefault();
  event.stopPropagation();
  slid = true;
  split(to[event.key]);
});

find("opacity").addEventListener("input", ({ target }) => {
  masks.style.setProperty("--opacity", target.value / 100);
});

// -- points and boxes -------------------------------------------------------------------------------------------

let start = null; // where a drag began, as a part of each side
let at = null; // the cross of the keyboard
let corner = null; // of a box that the keyboard draws

function place(event) {
  const frame = stage.getBoundingClientRect();
  return [
    clamp((event.clientX - frame.left) / frame.width, 0, 1),
    clamp((event.clientY - frame.top) / frame.height, 0, 1),
  ];
}

const ordered = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];

function pixels(parts) {
  const { width, height } = state().picture;
  return parts.map((part, index) => Math.min(part, 0.9999) * (index % 2 ? height : width));
}

function frameBox(one, other) {
  const [left, top, right, bottom] = ordered(one, other);
  Object.assign(box.style, {
    left: left * 100 + "%",
    top: top * 100 + "%",
    width: (right - left) * 100 + "%",
    height: (bottom - top) * 100 + "%",
  });
  box.hidden = false;
}

function frameCross([x, y]) {
  Object.assign(cross.style, { left: x * 100 + "%", top: y * 100 + "%" });
  cross.hidden = false;
}

function point(where) {
  frameCross(where);
  box.hidden = true;
  trigger("pointed", { point: pixels(where) });
}

function enclose(one, other) {
  cross.hidden = true;
  trigger("pointed", { box: pixels(ordered(one, other)) });
}

const ready = () => state().picture && !state().busy;

stage.addEventListener("pointerdown", (event) => {
  if (!ready() || event.button) return;
  start = place(event);
  cross.hidden = box.hidden = true;
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  if (start && far(event)) frameBox(start, place(event));
});
stage.addEventListener("pointerup", (event) => {
  if (!start) return;
  const from = start;
  start = null;
  if (box.hidden) point(from);
  else enclose(from, place(event));
});
stage.addEventListener("pointercancel", () => {
  start = null;
  box.hidden = true;
});

function far(event) {
  const [x, y] = place(event);
  const frame = stage.getBoundingClientRect();
  return !box.hidden || Math.hypot((x - start[0]) * frame.width, (y - start[1]) * frame.height) > CLICK;
}

draw.addEventListener("click", () => {
  const on = stage.classList.toggle("is-drawing");
  draw.setAttribute("aria-pressed", on);
});

stage.addEventListener("keydown", (event) => {
  if (event.target !== stage) return;
  const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
  if (!state().picture) {
    if (event.key === "Enter") chooser().click();
    return;
  }
  if (!step && event.key !== "Enter" && event.key !== "Escape") return;
  event.preventDefault();
  if (event.key === "Escape") {
    box.hidden = cross.hidden = true;
    at = corner = null;
  } else if (event.key === "Enter") {
    if (!ready() || !at) return;
    if (corner) enclose(corner, at);
    else point(at);
    corner = null;
  } else {
    const from = at || [0.5, 0.5];
    if (event.shiftKey) corner = corner || from;
    else corner = null;
    at = from.map((value, axis) => clamp(value + step[axis], 0, 1));
    frameCross(at);
    if (corner) frameBox(corner, at);
    else box.hidden = true;
  }
});

// -- pictures that come in --------------------------------------------------------------------------------------

const chooser = () => document.querySelector("#choose").parentElement.querySelector("input[type=file]");

for (const name of ["dragenter", "dragover"]) {
  figure.addEventListener(name, (event) => {
    event.preventDefault();
    figure.classList.add("is-over");
  });
}
figure.addEventListener("dragleave", (event) => {
  if (!figure.contains(event.relatedTarget)) figure.classList.remove("is-over");
});
figure.addEventListener("drop", (event) => {
  event.preventDefault();
  figure.classList.remove("is-over");
  if (!event.dataTransfer.files.length) return;
  const one = new DataTransfer();
  one.items.add(event.dataTransfer.files[0]);
  chooser().files = one.files;
  chooser().dispatchEvent(new Event("change", { bubbles: true }));
});
find("drop").addEventListener("click", () => chooser().click());

const own = document.createElement("button");
own.type = "button";
own.className = "viewer-own";
own.textContent = "Your own";
own.title = "Choose a picture file";
own.addEventListener("click", () => chooser().click());

find("examples").replaceChildren(
  own,
  ...props.examples.map((example) => {
    const button = document.createElement("button");
    const image = document.createElement("img");
    button.type = "button";
    image.src = example.src;
    image.alt = example.alt;
    button.title = example.alt;
    button.append(image);
    button.addEventListener("click", () => trigger("chosen", { name: example.name }));
    return button;
  })
);

watch("value", show);
show();
