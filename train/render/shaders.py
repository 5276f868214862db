"""The GLSL of the renderer: one vertex shader, and fragment shaders for skin, eyes, cards of hair, and plain things.

Everything is lit in camera space (dm; the camera looks along -z). Fragments write a colour (display values, not linear)
and a part (see ``gpu.PARTS``). ``rest`` is where a point lies on the base head, so that what is painted there in front
view (folds, make-up, stubble, regions) lands at the same place on each face.
"""

from __future__ import annotations

VERTEX = """
#version 330
uniform mat4 view; uniform mat4 projection; uniform mat4 light_view;
in vec3 in_position; in vec3 in_normal; in vec2 in_texture; in vec4 in_rest;
out vec3 position; out vec3 normal; out vec2 texture_at; out vec3 rest; out float open_sky; out vec3 in_light;
void main() {
    vec4 placed = view * vec4(in_position, 1.0);
    position = placed.xyz;
    normal = mat3(view) * in_normal;
    texture_at = in_texture;
    rest = in_rest.xyz;
    open_sky = in_rest.w;
    in_light = (light_view * placed).xyz * 0.5 + 0.5;
    gl_Position = projection * placed;
}
"""

SHADOW_VERTEX = """
#version 330
uniform mat4 view; uniform mat4 light_view;
in vec3 in_position;
void main() { gl_Position = light_view * view * vec4(in_position, 1.0); }
"""

SHADOW_FRAGMENT = """
#version 330
void main() {}
"""

_COMMON = """
#version 330
uniform mat4 view;
uniform vec3 light_direction[3]; uniform vec3 light_colour[3];
uniform vec3 sky; uniform vec3 ground; uniform vec3 up;
uniform vec3 wrap; uniform float gloss; uniform float shine; uniform float rim;
uniform float shadow_strength; uniform float shadow_blur; uniform float shadow_bias; uniform float cavity;
uniform float steps; uniform float gamma;
uniform sampler2D shadow_map;
in vec3 position; in vec3 normal; in vec2 texture_at; in vec3 rest; in float open_sky; in vec3 in_light;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 part;

uniform sampler2D grain;
vec4 noise(vec2 p) { return texture(grain, p / 64.0); }
float lit_part() {
    if (shadow_strength <= 0.0) return 1.0;
    float sum = 0.0;
    for (int k = 0; k < 4; k++) {
        vec2 by = vec2(k < 2 ? 1.0 : -1.0, (k & 1) == 0 ? 1.0 : -1.0);
        float depth = texture(shadow_map, in_light.xy + by * shadow_blur).r;
        sum += clamp((depth - in_light.z + shadow_bias * 2.0) / shadow_bias, 0.0, 1.0);
    }
    return mix(1.0, sum / 4.0, shadow_strength);
}
vec3 shade(vec3 albedo, vec3 n, float ao, float glossy, float sheen) {
    vec3 eye = normalize(-position);
    vec3 sum = mix(ground, sky, 0.5 + 0.5 * dot(n, up)) * mix(1.0, ao, cavity);
    vec3 spark = vec3(0.0);
    float shade0 = lit_part();
    for (int k = 0; k < 3; k++) {
        float facing = dot(n, light_direction[k]);
        vec3 wrapped = clamp((vec3(facing) + wrap) / (1.0 + wrap), 0.0, 1.0);
        if (steps > 0.0) wrapped = floor(wrapped * steps + 0.5) / steps;
        float free = k == 0 ? shade0 : 1.0;
        vec3 light = light_colour[k] * free * mix(1.0, ao, 0.6 * cavity);
        sum += wrapped * light;
        float half_way = max(dot(n, normalize(light_direction[k] + eye)), 0.0);
        half_way *= half_way;
        spark += light * half_way / (glossy - glossy * half_way + half_way) * sheen * step(0.0, facing);
    }
    float edge = 1.0 - max(dot(n, eye), 0.0);
    edge *= edge * edge;
    return albedo * sum + spark + rim * edge * sky * ao;
}
vec4 displayed(vec3 light) {
    light = max(light, 0.0);
    light = light / (1.0 + 0.25 * light);
    return vec4(pow(light, vec3(1.0 / gamma)), 1.0);
}
"""

SKIN = (
    _COMMON
    + """
uniform sampler2D skin; uniform sampler2D folds; uniform sampler2D paint; uniform sampler2D regions;
uniform mat3 tone; uniform vec3 tone_offset; uniform float flatness; uniform vec3 flat_colour;
uniform float fold_depth; uniform float fold_stain; uniform float mottle; uniform float mottle_scale;
uniform float freckles; uniform vec2 seed;
uniform vec4 lips; uniform vec4 shadow; uniform vec4 blush; uniform vec4 stubble; uniform vec3 cloth;
uniform float weird; uniform float pores;
void main() {
    vec2 plane = vec2(rest.x / 2.0 + 0.5, (rest.y - 6.0) / 2.0);
    vec3 albedo = texture(skin, texture_at).rgb;
    albedo *= albedo;
    albedo = mix(tone * albedo + tone_offset, flat_colour, flatness);
    vec4 tint = noise(rest.xy * mottle_scale + seed + rest.z * mottle_scale * 0.5);
    albedo *= 1.0 + mottle * (mix(tint.xxx, tint.xyz, 0.4) - 0.5);
    albedo = mix(albedo, albedo * (0.3 + 1.4 * tint.xyz), weird);
    vec4 fine = noise(rest.xy * 45.0 + seed.yx);
    float spot = smoothstep(0.72, 0.85, fine.x) * smoothstep(0.3, 0.7, tint.w);
    albedo *= 1.0 - freckles * spot * vec3(0.4, 0.6, 0.7);
    vec4 mask = texture(paint, plane) * step(0.35, rest.z);
    albedo = mix(albedo, shadow.rgb, mask.g * shadow.a);
    albedo = mix(albedo, albedo * blush.rgb * 1.6, mask.b * blush.a);
    float bristle = 0.6 + 0.8 * fine.y;
    albedo = mix(albedo, stubble.rgb, clamp(mask.a * stubble.a * bristle, 0.0, 1.0));
    albedo = mix(albedo, lips.rgb, mask.r * lips.a);
    vec4 fold = texture(folds, plane);
    float front = smoothstep(0.2, 0.6, rest.z);
    vec2 slope = (fold.rg - 0.5) * fold_depth * front;
    slope += pores * (fine.zw - 0.5);
    vec3 n = normalize(normal);
    if (!gl_FrontFacing) n = -n;
    vec3 across = mat3(view) * vec3(1.0, 0.0, 0.0), upward = mat3(view) * vec3(0.0, 1.0, 0.0);
    n = normalize(n - slope.x * (across - n * dot(across, n)) - slope.y * (upward - n * dot(upward, n)));
    float groove = (fold.b - 0.5) * 2.0 * front;
    albedo *= 1.0 + fold_stain * groove * vec3(0.8, 1.0, 1.0);
    float ao = open_sky * (1.0 + 0.5 * min(groove, 0.0));
    float dressed = smoothstep(5.86, 5.84, rest.y + 0.1 * abs(rest.x) - 0.05 * rest.z);
    albedo = mix(albedo, cloth, dressed);
    float wet = mask.r * (0.3 + lips.a);
    albedo *= mix(0.12 + 0.88 * smoothstep(0.02, 0.4, open_sky), 1.0, 1.0 - cavity);
    float sheen = shine * (1.0 + 2.0 * wet) * (1.0 - dressed);
    colour = displayed(shade(albedo, n, ao, gloss * (1.0 + wet), sheen));
    float region = texture(regions, plane).r * step(0.35, rest.z);
    part = vec4(region > 0.0 ? region : 1.0 / 255.0, 0.0, 0.0, 1.0);
}
"""
)

EYE = (
    _COMMON
    + """
uniform vec3 gaze; uniform vec3 eye_up; uniform vec3 iris; uniform vec3 iris_rim; uniform vec3 sclera;
uniform float iris_size; uniform float pupil; uniform float redness;
uniform float lid_shadow; uniform float catchlight;
void main() {
    vec3 n = normalize(normal);
    vec3 side = normalize(cross(eye_up, gaze)); vec3 top = cross(gaze, side);
    float along = dot(n, gaze);
    float angle = acos(clamp(along, -1.0, 1.0));
    vec2 at = vec2(dot(n, side), dot(n, top));
    float turn = atan(at.y, at.x);
    float r = angle / iris_size;
    float fibre = 0.75 + 0.5 * noise(vec2(turn * 9.0, r * 3.0)).x;
    vec3 ring = mix(iris * fibre, iris_rim, smoothstep(0.75, 1.0, r));
    ring = mix(ring * 1.5, ring, smoothstep(pupil, pupil + 0.3, r));
    ring *= smoothstep(pupil - 0.05, pupil + 0.08, r);
    float veins = noise(vec2(turn * 14.0, angle * 9.0)).y * smoothstep(0.5, 1.3, angle);
    vec3 white = sclera * mix(vec3(1.0), vec3(1.0, 0.72, 0.66), redness * (0.3 + veins));
    vec3 albedo = mix(ring, white, smoothstep(0.96, 1.08, r));
    float ao = mix(1.0, smoothstep(-0.25, 0.55, 0.45 - dot(n, eye_up)), lid_shadow);
    ao *= mix(0.55, 1.0, smoothstep(1.35, 0.7, angle));
    vec3 bulge = normalize(n + 0.35 * (n - gaze) * (1.0 - smoothstep(0.7, 1.2, r)));
    colour = displayed(shade(albedo * ao, n, 1.0, 30.0, 0.0) + shade(vec3(0.0), bulge, ao, 1500.0, catchlight));
    part = vec4(3.0 / 255.0, 0.0, 0.0, 1.0);
}
"""
)

CARD = (
    _COMMON
    + """
uniform sampler2D picture; uniform vec3 tint; uniform float keep_texture; uniform float threshold;
uniform float as_part; uniform float density; uniform vec2 seed; uniform float soften;
void main() {
    vec4 texel = texture(picture, texture_at);
    float cover = clamp(texel.a * density, 0.0, 1.0);
    if (cover < threshold) discard;
    vec3 n = normalize(normal);
    if (dot(n, position) > 0.0) n = -n;
    float value = dot(texel.rgb, vec3(0.3, 0.6, 0.1));
    vec3 albedo = mix(tint * (0.35 + 1.3 * value), pow(texel.rgb, vec3(2.2)), keep_texture);
    albedo *= 0.8 + 0.4 * noise(texture_at * 150.0 + seed).x;
    colour = displayed(shade(albedo, n, open_sky, gloss, shine));
    colour.a = soften > 0.0 ? cover : 1.0;
    part = vec4(as_part / 255.0, 0.0, 0.0, 1.0);
}
"""
)

PLAIN = (
    _COMMON
    + """
uniform vec3 tint; uniform float as_part; uniform float opacity; uniform float depth_dim; uniform sampler2D picture;
uniform float keep_texture;
uniform vec3 mouth_plane;
void main() {
    vec3 n = normalize(normal);
    if (dot(n, position) > 0.0) n = -n;
    float inside = smoothstep(0.0, 1.0, 1.0 - (mouth_plane.x - rest.z) * depth_dim);
    float dim = depth_dim > 0.0 ? mix(0.06, 1.0, inside) : 1.0;
    vec3 albedo = mix(tint, tint * pow(texture(picture, texture_at).rgb, vec3(2.2)), keep_texture);
    colour = displayed(shade(albedo, n, 1.0, gloss, shine) * dim);
    colour.a = opacity;
    part = vec4(as_part / 255.0, 0.0, 0.0, 1.0);
}
"""
)
