// Draws all points in one call on WebGL.

const VERTEX = `#version 300 es
in vec2 place;
in vec4 look;
uniform vec2 center;
uniform vec2 scale;
uniform float size;
uniform float opacity;
uniform bool gray;
out vec4 fill;
flat out int shape;
void main() {
  gl_Position = vec4((place - center) * scale, 0.0, 1.0);
  gl_PointSize = size;
  fill = vec4(gray ? vec3(0.55, 0.58, 0.62) : look.rgb / 255.0, opacity);
  shape = int(look.a);
}`;

// How far outside of a mark's outline a place is, for each number of marks.js.
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 fill;
flat in int shape;
uniform float size;
out vec4 color;
float plus(vec2 a) { return min(max(a.x - 0.28, a.y - 0.85), max(a.x - 0.85, a.y - 0.28)); }
float triangle(float x, float y) { return max(0.866 * x + 0.5 * y, -y) - 0.5; }
float outside(vec2 p) {
  vec2 a = abs(p);
  vec2 turned = abs(vec2(p.x + p.y, p.x - p.y)) * 0.7071;
  if (shape == 0) return length(p) - 0.8;
  if (shape == 1) return triangle(a.x, 0.2 - p.y);
  if (shape == 2) return max(a.x, a.y) - 0.7;
  if (shape == 3) return (a.x + a.y - 0.95) * 0.7071;
  if (shape == 4) return triangle(a.x, 0.2 + p.y);
  if (shape == 5) return plus(a);
  if (shape == 6) return plus(turned);
  if (shape == 7) return abs(length(p) - 0.62) - 0.22;
  if (shape == 8) return abs(max(a.x, a.y) - 0.55) - 0.2;
  return abs((a.x + a.y) * 0.7071 - 0.51) - 0.19;
}
void main() {
  float pixel = 2.0 / size;
  float covered = smoothstep(0.5 * pixel, -0.5 * pixel, outside(2.0 * gl_PointCoord - 1.0));
  float alpha = fill.a * covered;
  color = vec4(fill.rgb * alpha, alpha);
}`;

const OPACITY = 0.75;
const BEHIND = 0.35;
const FADED = 0.1;

const compiled = (gl, kind, source) => {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  return shader;
};

const linked = (gl) => {
  const program = gl.createProgram();
  gl.attachShader(program, compiled(gl, gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, compiled(gl, gl.FRAGMENT_SHADER, FRAGMENT));
  gl.linkProgram(program);
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
};

export class Points {
  constructor(canvas, redraw) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    if (!this.gl || !this.start()) {
      this.gl = null;
      return;
    }
    // A laptop that sleeps takes the context away and gives an empty one back.
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      if (!this.start()) return;
      if (this.places) this.put(this.places);
      if (this.painted) this.paint(this.painted, this.shown);
      redraw();
    });
  }

  get works() { return Boolean(this.gl); }

  // Tells whether the driver takes the shaders.
  start() {
    const { gl } = this;
    this.program = linked(gl);
    if (!this.program) return false;
    this.buffers = { places: gl.createBuffer(), looks: gl.createBuffer(), order: gl.createBuffer() };
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.uniforms = Object.fromEntries(["center", "scale", "size", "opacity", "gray"].map((name) => [
      name, gl.getUniformLocation(this.program, name),
    ]));
    return true;
  }

  // Places: x and y of each point, one after the other.
  put(places) {
    this.places = places;
    this.fill(this.buffers.places, places, "place", 2, this.gl.FLOAT);
  }

  // Painted: as Coloring.paint gives it; shown: 1 for each point that no filter leaves out.
  paint(painted, shown) {
    [this.painted, this.shown] = [painted, shown];
    this.fill(this.buffers.looks, painted, "look", 4, this.gl.UNSIGNED_BYTE);
    const every = [...shown.keys()];
    const left = every.filter((i) => !shown[i]), kept = every.filter((i) => shown[i]);
    this.left = left.length;
    const { gl } = this;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.order);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, Uint32Array.from([...left, ...kept]), gl.STATIC_DRAW);
  }

  fill(buffer, values, name, parts, type) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    const attribute = gl.getAttribLocation(this.program, name);
    gl.enableVertexAttribArray(attribute);
    gl.vertexAttribPointer(attribute, parts, type, false, 0, 0);
  }

  // Behind: what lies over the points counts more than they do.
  draw(view, size, behind) {
    const { gl, canvas, uniforms } = this;
    const density = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(view.width * density), Math.round(view.height * density)];
    // Setting a size clears, even if it is the one before.
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(uniforms.center, view.x, view.y);
    gl.uniform2f(uniforms.scale, 2 * view.scale / view.width, 2 * view.scale / view.height);
    gl.uniform1f(uniforms.size, size * density);
    this.part(0, this.left, FADED, true);
    this.part(this.left, this.shown.length - this.left, behind ? BEHIND : OPACITY, false);
  }

  part(first, n, opacity, gray) {
    const { gl, uniforms } = this;
    gl.uniform1f(uniforms.opacity, opacity);
    gl.uniform1i(uniforms.gray, gray);
    gl.drawElements(gl.POINTS, n, gl.UNSIGNED_INT, 4 * first);
  }
}
