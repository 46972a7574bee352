"""GLSL 3.30 of the textured renderer: shadow map, labels, lone silhouettes, light, sky, and the camera's finish.

A row of the table of materials has three texels: sRGB colour and gloss; layer of the model's texture or -1, layer of
the surface picture or -1, its repeats a metre, its strength; glow, pattern code, pattern cells a metre.
"""

from __future__ import annotations

from perceptio.scenes.rendering.patterns import PATTERNS

HOLES = """
// the truth of a cut-out texture is its nearest texel: a ray caster can look it up too
bool hole(sampler2DArray textures, vec2 uv, float layer) {
    if (layer < 0.0) return false;
    ivec3 size = textureSize(textures, 0);
    ivec2 at = ivec2(floor(fract(uv) * vec2(size.xy)));
    return texelFetch(textures, ivec3(min(at, size.xy - 1), int(layer + 0.5)), 0).a < 0.5;
}
"""

FLAT_VERTEX = """
#version 330
uniform mat4 camera;
uniform mat4 model;
uniform vec4 depth_row;  // view-space z = dot(depth_row, world)
uniform sampler2D materials;
uniform int first_material;
in vec3 position;
in vec2 uv;
in float material;
out vec2 at;
out float z;
flat out float layer;
void main() {
    at = uv;
    layer = texelFetch(materials, ivec2(1, int(material + 0.5) + first_material), 0).x;
    vec4 world = model * vec4(position, 1.0);
    z = dot(depth_row, world);
    gl_Position = camera * world;
}
"""

SHADOW_FRAGMENT = (
    """
#version 330
uniform sampler2DArray textures;
in vec2 at;
flat in float layer;
"""
    + HOLES
    + """
void main() { if (hole(textures, at, layer)) discard; }
"""
)

LABEL_FRAGMENT = (
    """
#version 330
uniform sampler2DArray textures;
uniform float ident;
in vec2 at;
in float z;
flat in float layer;
layout(location = 0) out vec2 label;
"""
    + HOLES
    + """
void main() { if (hole(textures, at, layer)) discard; label = vec2(z, ident); }
"""
)

LONE_FRAGMENT = (
    """
#version 330
uniform sampler2DArray textures;
in vec2 at;
flat in float layer;
layout(location = 0) out float seen;
"""
    + HOLES
    + """
void main() { if (hole(textures, at, layer)) discard; seen = 1.0; }
"""
)

COLOR_VERTEX = """
#version 330
uniform mat4 camera;
uniform mat4 model;
uniform mat4 sun_matrix;
uniform float push;  // metres along the normal, so that a surface does not shadow itself
uniform sampler2D materials;
uniform int first_material;
in vec3 position;
in vec3 normal;
in vec3 local;
in vec2 uv;
in float material;
out vec3 world;
out vec3 world_normal;
out vec3 own;
out vec3 own_normal;
out vec3 sun_space;
out vec2 at;
flat out vec4 look;
flat out vec4 layers;
flat out vec3 extra;
void main() {
    vec4 place = model * vec4(position, 1.0);
    world = place.xyz;
    world_normal = mat3(model) * normal;
    own = local;
    own_normal = normal;
    at = uv;
    int row = int(material + 0.5) + first_material;
    look = texelFetch(materials, ivec2(0, row), 0);
    layers = texelFetch(materials, ivec2(1, row), 0);
    extra = texelFetch(materials, ivec2(2, row), 0).xyz;
    vec3 away = dot(world_normal, world_normal) > 1e-12 ? normalize(world_normal) : vec3(0.0);
    sun_space = (sun_matrix * vec4(world + push * away, 1.0)).xyz * 0.5 + 0.5;
    gl_Position = camera * place;
}
"""

COLOR_FRAGMENT = (
    """
#version 330
uniform vec3 eye;
uniform vec3 sun_direction;
uniform vec3 sun_rgb;
uniform vec3 sky_light;
uniform vec3 ground_light;
uniform vec3 tint;
uniform vec3 cover;  // layer or -1, repeats a metre, strength
uniform int lamps;
uniform vec3 lamp_position[4];
uniform vec3 lamp_rgb[4];
uniform bool has_window;
uniform vec3 window_center;
uniform vec3 window_normal;
uniform vec3 window_across;
uniform vec2 window_half;
uniform vec3 window_rgb;
uniform vec2 softness;  // in the shadow map
uniform vec3 mean_rgb[512];  // linear, of the surface pictures
uniform sampler2DShadow shadow_map;
uniform sampler2DArray textures;
uniform sampler2DArray surfaces;
in vec3 world;
in vec3 world_normal;
in vec3 own;
in vec3 own_normal;
in vec3 sun_space;
in vec2 at;
flat in vec4 look;
flat in vec4 layers;
flat in vec3 extra;
layout(location = 0) out vec4 color;
"""
    + HOLES
    + PATTERNS
    + """
vec3 linear(vec3 c) { return c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878); }

float noise(vec2 p) { return fract(sin(dot(p, vec2(12.9898, 78.233))) * 43758.5453); }

float lit_by_sun() {
    vec3 p = sun_space;
    if (min(min(p.x, p.y), min(1.0 - p.x, 1.0 - p.y)) < 0.0 || p.z > 1.0) return 1.0;
    p.z -= 0.0012;
    float turn = 6.2832 * noise(gl_FragCoord.xy);
    mat2 r = mat2(cos(turn), sin(turn), -sin(turn), cos(turn));
    float sum = texture(shadow_map, p + vec3(r * vec2(0.8, 0.2) * softness, 0.0));
    sum += texture(shadow_map, p + vec3(r * vec2(-0.4, 0.7) * softness, 0.0));
    sum += texture(shadow_map, p + vec3(r * vec2(-0.5, -0.6) * softness, 0.0));
    sum += texture(shadow_map, p + vec3(r * vec2(0.2, -0.3) * softness, 0.0));
    return 0.25 * sum;
}

// the share of the sun that enters a closed room through its window: bars and soft edges
float through_window() {
    float against = dot(sun_direction, window_normal);
    if (against >= -1e-3) return 0.0;
    float t = dot(window_center - world, window_normal) / against;
    if (t <= 0.0) return 0.0;
    vec3 q = world + sun_direction * t - window_center;
    float a = abs(dot(q, window_across)) / window_half.x, b = abs(q.z) / window_half.y;
    float bars = step(0.05, abs(fract(a * 1.5 + 0.5) - 0.5));
    return bars * smoothstep(1.04, 0.96, a) * smoothstep(1.04, 0.96, b);
}

vec3 albedo() {
    vec3 base = linear(extra.y > 0.0 ? patterned(look.rgb, int(extra.y + 0.5), own * extra.z) : look.rgb);
    bool textured = layers.x >= 0.0;
    if (textured) base = linear(texture(textures, vec3(at, layers.x)).rgb);
    vec3 over = layers.y >= 0.0 ? layers.yzw : cover;
    if (over.x >= 0.0 && !textured) {
        vec3 picture = linear(texture(surfaces, vec3(dominant(own, own_normal) * over.y, over.x)).rgb);
        vec3 shade = picture / max(mean_rgb[int(over.x + 0.5)], vec3(0.02));
        base = over.z > 0.95 ? picture * (layers.y >= 0.0 ? base : vec3(1.0)) : base * mix(vec3(1.0), shade, over.z);
    }
    return clamp(base * tint, 0.0, 0.92);
}

vec3 surroundings(vec3 r) {
    vec3 seen = mix(ground_light, sky_light, smoothstep(-0.2, 0.5, r.z)) * 1.1;
    float against = dot(r, window_normal);
    if (has_window && against < -1e-3) {
        float t = dot(window_center - world, window_normal) / against;
        vec3 q = world + r * t - window_center;
        float a = abs(dot(q, window_across)) / window_half.x, b = abs(q.z) / window_half.y;
        if (t > 0.0) seen += window_rgb * 0.5 * smoothstep(1.2, 0.8, a) * smoothstep(1.2, 0.8, b);
    }
    return seen;
}

void main() {
    if (hole(textures, at, layers.x)) discard;
    vec3 n = dot(world_normal, world_normal) > 1e-12 ? normalize(world_normal) : vec3(0.0, 0.0, 1.0);
    vec3 view = normalize(eye - world);
    if (dot(n, view) < 0.0) n = -n;
    vec3 base = albedo();
    float toward = max(dot(n, sun_direction), 0.0), lit = 0.0;
    if (toward > 0.0 && dot(sun_rgb, sun_rgb) > 0.0) {
        lit = lit_by_sun();
        if (has_window) lit *= through_window();
    }
    vec3 light = sun_rgb * toward * lit + mix(ground_light, sky_light, 0.5 + 0.5 * n.z);
    if (has_window) {
        vec3 d = window_center - world;
        float far2 = dot(d, d);
        vec3 way = d * inversesqrt(far2);
        light += window_rgb * max(dot(n, way) * 0.8 + 0.2, 0.0) * max(dot(-way, window_normal), 0.05) / (far2 + 1.2);
    }
    for (int k = 0; k < lamps; ++k) {
        vec3 d = lamp_position[k] - world;
        float far2 = dot(d, d);
        light += lamp_rgb[k] * max(dot(n, d * inversesqrt(far2)) * 0.85 + 0.15, 0.0) / (far2 + 0.15);
    }
    vec3 seen = base * light;
    float gloss = look.a;
    if (gloss > 0.0) {
        float mirror = gloss * (0.06 + 0.9 * pow(1.0 - max(dot(n, view), 0.0), 5.0));
        seen = mix(seen, surroundings(reflect(-view, n)), mirror);
        seen += sun_rgb * lit * gloss * 0.6 * pow(max(dot(n, normalize(view + sun_direction)), 0.0), 50.0);
    }
    if (extra.x > 0.0) seen = base * extra.x;
    color = vec4(dot(seen, seen) < 1e8 ? seen : vec3(0.2), 1.0);
}
"""
)

WHOLE_VERTEX = """
#version 330
out vec2 at;
void main() {  // one triangle over the whole target
    vec2 p = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    at = p;
    gl_Position = vec4(p, 0.9999999, 1.0);
}
"""

SKY_FRAGMENT = """
#version 330
uniform vec3 right;
uniform vec3 down;
uniform vec3 forward;
uniform float slope;
uniform vec3 zenith;
uniform vec3 horizon;
uniform vec3 cloud_rgb;
uniform float clouds;
uniform float offset;
uniform float layer;
uniform vec3 sun_direction;
uniform vec3 sun_rgb;
uniform sampler2DArray surfaces;
in vec2 at;
layout(location = 0) out vec4 color;
void main() {
    vec3 d = normalize(forward + slope * (at.x * right + at.y * down));
    vec3 seen = mix(horizon, zenith, pow(clamp(d.z, 0.0, 1.0), 0.45));
    if (clouds > 0.0 && d.z > 0.0) {
        vec2 p = d.xy / (d.z + 0.12) * 0.22 + offset;
        float thick = 0.6 * texture(surfaces, vec3(p, layer)).r + 0.4 * texture(surfaces, vec3(2.7 * p + 0.3, layer)).r;
        seen = mix(seen, cloud_rgb, clouds * smoothstep(0.42, 0.72, thick) * smoothstep(0.0, 0.25, d.z));
    }
    seen += 0.12 * sun_rgb * pow(max(dot(d, sun_direction), 0.0), 40.0);
    color = vec4(seen, 1.0);
}
"""

FINISH_VERTEX = """
#version 330
uniform sampler2D large;
uniform float exposure;
out vec2 at;
flat out float gain;
void main() {  // the light of the picture, at 144 places of it, sets the exposure
    vec2 p = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    at = p;
    float sum = 0.0;
    vec2 size = vec2(textureSize(large, 0));
    for (int i = 0; i < 12; ++i) for (int j = 0; j < 12; ++j) {
        vec3 c = texelFetch(large, ivec2((vec2(i, j) + 0.5) / 12.0 * size), 0).rgb;
        sum += log(0.003 + dot(c, vec3(0.3, 0.59, 0.11)));
    }
    gain = exposure / exp(sum / 144.0);
    gl_Position = vec4(p, 0.0, 1.0);
}
"""

FINISH_FRAGMENT = """
#version 330
uniform sampler2D large;
uniform sampler2D labels;  // depth, id
uniform float slope;
uniform float occlusion;
uniform float radius;  // metres
uniform float haze;
uniform vec3 haze_rgb;
uniform vec3 white;
uniform float contrast;
uniform float saturation;
uniform float vignette;
in vec2 at;
flat in float gain;
layout(location = 0) out vec4 color;

float noise(vec2 p) { return fract(sin(dot(p, vec2(12.9898, 78.233))) * 43758.5453); }

vec3 place(ivec2 q, ivec2 size) {
    float z = texelFetch(labels, clamp(q, ivec2(0), size - 1), 0).r;
    return vec3(((vec2(q) + 0.5) / vec2(size) * 2.0 - 1.0) * slope * z, z);
}

// ACES filmic curve as fitted by Narkowicz (2016)
vec3 film(vec3 x) { return clamp((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0); }

float openness(ivec2 q, ivec2 size) {
    vec3 p = place(q, size);
    if (occlusion <= 0.0 || p.z > 60.0) return 1.0;
    vec3 r = place(q + ivec2(1, 0), size), l = place(q - ivec2(1, 0), size);
    vec3 d = place(q + ivec2(0, 1), size), u = place(q - ivec2(0, 1), size);
    vec3 dx = abs(r.z - p.z) < abs(p.z - l.z) ? r - p : p - l;
    vec3 dy = abs(d.z - p.z) < abs(p.z - u.z) ? d - p : p - u;
    vec3 n = normalize(cross(dy, dx));
    if (dot(n, p) > 0.0) n = -n;
    float reach = clamp(radius / (p.z * slope) * 0.5 * float(size.x), 2.0, 0.12 * float(size.x));
    float turn = 6.2832 * noise(vec2(q & 3)), sum = 0.0;
    for (int k = 0; k < 10; ++k) {
        float angle = turn + float(k) * 2.39996;
        vec3 e = place(q + ivec2(vec2(cos(angle), sin(angle)) * (float(k) + 0.5) / 10.0 * reach), size) - p;
        float far2 = dot(e, e) + 1e-6;
        sum += max(dot(e, n) * inversesqrt(far2) - 0.08, 0.0) * clamp(1.0 - sqrt(far2) / (1.6 * radius), 0.0, 1.0);
    }
    return clamp(1.0 - occlusion * 0.22 * sum, 0.0, 1.0);
}

void main() {
    ivec2 size = textureSize(labels, 0), q = ivec2(gl_FragCoord.xy);
    float z = texelFetch(labels, q, 0).r, open = openness(q, size);
    float thick = haze > 0.0 && z < 300.0 ? 1.0 - exp(-z * haze) : 0.0;
    vec3 sum = vec3(0.0);
    for (int j = 0; j < 4; ++j) {
        vec3 c = texelFetch(large, 2 * q + ivec2(j & 1, j >> 1), 0).rgb * open;
        sum += film(mix(c, haze_rgb, thick) * white * gain);
    }
    vec3 c = pow(0.25 * sum, vec3(1.0 / 2.2));
    c = mix(vec3(dot(c, vec3(0.3, 0.59, 0.11))), c, saturation);
    c = (c - 0.5) * contrast + 0.5;
    c *= 1.0 - vignette * dot(at, at);
    color = vec4(clamp(c, 0.0, 1.0), 1.0);
}
"""
