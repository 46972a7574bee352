"""GLSL 3.30 sources: shadow map, shaded colour, exact labels, lone silhouettes and the 2x2 average."""

from __future__ import annotations

from perceptio.scenes.rendering.patterns import PATTERNS

SHADOW_VERTEX = """
#version 330
uniform mat4 light_matrix;
in vec3 position;
void main() { gl_Position = light_matrix * vec4(position, 1.0); }
"""

EMPTY_FRAGMENT = """
#version 330
void main() {}
"""

COLOR_VERTEX = """
#version 330
uniform mat4 camera_matrix;
uniform mat4 light_matrix;
uniform vec3 key_direction;
in vec3 position;
in vec3 normal;
in vec3 local;
in float instance;
out vec3 world;
out vec3 world_normal;
out vec3 unit;
out vec3 light_space;
flat out int id;
void main() {
    world = position;
    world_normal = normal;
    unit = local;
    id = int(instance + 0.5);
    // a push along the normal keeps a surface from shadowing itself
    vec4 lit = light_matrix * vec4(position + 0.012 * normalize(normal), 1.0);
    light_space = lit.xyz * 0.5 + 0.5;
    gl_Position = camera_matrix * vec4(position, 1.0);
}
"""

COLOR_FRAGMENT = (
    """
#version 330
uniform vec3 eye;
uniform vec3 key_direction;
uniform vec3 key_color;
uniform vec3 fill_direction;
uniform vec3 fill_color;
uniform vec3 ambient;
uniform vec3 room;          // width, length, height
uniform float pattern;
uniform vec2 shadow_texel;  // one soft step in shadow map coordinates
uniform int blockers;
uniform vec4 blocker[10];   // centre and radius of the objects
uniform vec4 table[MAX_INSTANCES];
uniform sampler2DShadow shadow_map;
in vec3 world;
in vec3 world_normal;
in vec3 unit;
in vec3 light_space;
flat in int id;
layout(location = 0) out vec4 color;

vec3 linear(vec3 c) { return c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878); }

float hash(vec2 p) { return fract(sin(dot(p, vec2(12.9898, 78.233))) * 43758.5453); }

"""
    + PATTERNS
    + """
vec3 surface(vec3 base, int code, vec3 n) {
    if (code >= 2 && code <= 4) return patterned(base, code, unit);
    if (code == 7) {  // wood: planks along y, each with its own tone and a faint grain
        vec2 p = world.xy / vec2(pattern * 0.28, pattern * 1.9);
        float row = floor(p.x);
        vec2 plank = vec2(row, floor(p.y + hash(vec2(row, 3.0))));
        float grain = 0.03 * sin(world.x * 90.0 + 9.0 * sin(world.y * 1.7 + plank.x));
        float gap = smoothstep(0.0, 0.05, abs(fract(p.x) - 0.5) * -1.0 + 0.5);
        return base * (0.80 + 0.28 * hash(plank) + grain) * mix(0.65, 1.0, gap);
    }
    if (code == 8) {  // tiles with grout
        vec2 p = world.xy / pattern;
        vec2 edge = 0.5 - abs(fract(p) - 0.5);
        return base * (min(edge.x, edge.y) < 0.025 ? 0.62 : 0.94 + 0.1 * hash(floor(p)));
    }
    if (code == 9) {
        vec2 cell = floor(world.xy / pattern);
        return mod(cell.x + cell.y, 2.0) < 0.5 ? base : base * 0.68;
    }
    return base;
}

float shadow() {
    vec3 p = light_space;
    if (min(min(p.x, p.y), min(1.0 - p.x, 1.0 - p.y)) < 0.0) return 1.0;
    p.z -= 0.0012;
    float s = texture(shadow_map, p) * 2.0;
    s += texture(shadow_map, p + vec3(shadow_texel * vec2(0.95, 0.31), 0.0));
    s += texture(shadow_map, p + vec3(shadow_texel * vec2(-0.31, 0.95), 0.0));
    s += texture(shadow_map, p + vec3(shadow_texel * vec2(-0.95, -0.31), 0.0));
    s += texture(shadow_map, p + vec3(shadow_texel * vec2(0.31, -0.95), 0.0));
    return s / 6.0;
}

float occlusion(vec3 n) {
    vec3 q = vec3(0.5 * room.xy - abs(world.xy), world.z);
    float open = 1.0;
    if (id >= blockers) {
        open *= 1.0 - 0.22 * exp2(-5.0 * q.x) * step(abs(n.x), 0.5);
        open *= 1.0 - 0.22 * exp2(-5.0 * q.y) * step(abs(n.y), 0.5);
        open *= 1.0 - 0.22 * exp2(-5.0 * (room.z - q.z)) * step(n.z, 0.5);
    }
    open *= 1.0 - 0.30 * exp2(-7.0 * q.z) * step(n.z, 0.5);
    for (int k = 0; k < blockers; ++k) {
        vec3 d = blocker[k].xyz - world;
        float inverse = inversesqrt(max(dot(d, d), 1e-4));
        float solid = blocker[k].w * inverse;
        float hidden = max(dot(n, d) * inverse, 0.0) * min(solid * solid, 1.0);
        open *= k == id ? 1.0 : 1.0 - 0.75 * hidden;
    }
    return open;
}

void main() {
    vec3 n = normalize(world_normal);
    vec3 view = normalize(eye - world);
    vec4 row = table[id];
    int code = int(row.w + 0.5);
    vec3 albedo = linear(surface(row.rgb, code, n));
    float ndotl = max(dot(n, key_direction), 0.0);
    vec3 key = key_color * (ndotl > 0.0 ? shadow() : 0.0);
    float open = occlusion(n);
    float up = 0.5 + 0.5 * n.z;
    vec3 light = key * ndotl + fill_color * max(dot(n, fill_direction), 0.0) * open
        + ambient * open * (0.72 + 0.28 * up);
    vec3 shade = albedo * light;
    float h = max(dot(n, normalize(view + key_direction)), 0.0);
    if (code == 1) {  // metal: little diffuse, a tinted room in the mirror
        vec3 r = reflect(-view, n);
        float sky = smoothstep(-0.25, 0.75, r.z);
        float band = 0.55 * smoothstep(0.12, 0.0, abs(r.z - 0.18));
        vec3 mirror = (0.16 + 1.05 * sky + band) * (ambient + 0.35 * key_color);
        shade = shade * 0.45 + albedo * mirror * (0.35 + 0.65 * open) + (0.6 * albedo + 0.3) * key * pow(h, 60.0) * 1.6;
    } else if (id < blockers) {
        shade += key * (code == 0 ? 0.035 * pow(h, 12.0) : 0.16 * pow(h, 40.0));
    }
    shade = shade * (1.0 + shade * 0.10) / (1.0 + shade * 0.28);
    color = vec4(pow(clamp(shade, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}
"""
)

LABEL_VERTEX = """
#version 330
uniform mat4 camera_matrix;
uniform vec4 depth_row;  // view-space z = dot(depth_row, position)
uniform float objects;
in vec3 position;
in float instance;
out float z;
flat out float id;
void main() {
    z = dot(depth_row, vec4(position, 1.0));
    id = instance + 0.5 < objects ? instance + 1.0 : 0.0;
    gl_Position = camera_matrix * vec4(position, 1.0);
}
"""

LABEL_FRAGMENT = """
#version 330
in float z;
flat in float id;
layout(location = 0) out vec2 label;
void main() { label = vec2(z, id); }
"""

LONE_FRAGMENT = """
#version 330
layout(location = 0) out float seen;
void main() { seen = 1.0; }
"""

AVERAGE_VERTEX = """
#version 330
out vec2 at;
void main() {  // one triangle over the whole target
    vec2 p = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    at = p * 0.5 + 0.5;
    gl_Position = vec4(p, 0.0, 1.0);
}
"""

AVERAGE_FRAGMENT = """
#version 330
uniform sampler2D large;  // linear filter: the centre of 2x2 texels is their mean
in vec2 at;
layout(location = 0) out vec4 color;
void main() { color = texture(large, at); }
"""
