"""The patterns of the table-top world's things, in GLSL: both renderers draw them alike."""

from __future__ import annotations

PATTERN_CODES = {"striped": 2, "checkered": 3, "dotted": 4}  # material -> the code that `patterned` reads

PATTERNS = """
// the second colour of a pattern contrasts with the first and keeps its hue in doubt-free minority
vec3 partner(vec3 c) {
    float l = dot(c, vec3(0.299, 0.587, 0.114));
    return l > 0.5 ? c * 0.22 : mix(c, vec3(1.0), 0.72);
}

vec2 dominant(vec3 p, vec3 n) {
    vec3 a = abs(n);
    return a.z >= a.x && a.z >= a.y ? p.xy : (a.x >= a.y ? p.yz : p.xz);
}

// unit: the place on the unit shape
vec3 patterned(vec3 base, int code, vec3 unit) {
    if (code == 2) return fract((unit.z + 0.55 * unit.x) * 4.6 + 0.2) < 0.42 ? partner(base) : base;
    if (code == 3) {
        vec3 cell = floor(unit * 4.4 + 0.23);
        return mod(cell.x + cell.y + cell.z, 2.0) < 0.5 ? base : partner(base);
    }
    if (code == 4) {
        // local normal is not needed: the largest coordinate tells the face well enough on every shape
        vec2 cell = fract(dominant(unit, unit / vec3(1.0, 1.0, 1.12)) * 4.6 + 0.5) - 0.5;
        return dot(cell, cell) < 0.085 ? partner(base) : base;
    }
    return base;
}
"""
