// Pre- and postprocessing for model.onnx, as labels.json describes it. A picture is resized as in Pillow, horizontally
// and then vertically with rounding in between, so that the network gets the input that it was trained and scored on.
// (Pillow 13 resizes some pictures vertically first; a few of their pixels then differ by one shade.)

const SHIFT = 1 << 22; // Pillow's weights are whole numbers of this unit
const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(1 - Math.abs(x), 0)],
  hamming: [1, (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI)) : 0)],
  bicubic: [2, (x) => cubic(Math.abs(x))],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

function cubic(x) {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

// For each output index along an axis: the first input index, and the weights of that and the following inputs.
function weights(from, to, name) {
  if (name === "nearest") return nearest(from, to);
  const [reach, filter] = FILTERS[name];
  const scale = from / to, stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach * stretch + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach * stretch + 0.5), from);
    const raw = Array.from({ length: last - first }, (_, at) => filter((at + first - centre + 0.5) / stretch));
    const whole = raw.reduce((sum, weight) => sum + weight, 0) || 1;
    return [first, raw.map((weight) => Math.trunc((weight / whole) * SHIFT + (weight < 0 ? -0.5 : 0.5)))];
  });
}

function nearest(from, to) {
  const places = [];
  for (let at = 0, exact = (from / to) * 0.5; at < to; at++, exact += from / to) places.push([Math.floor(exact), [SHIFT]]);
  return places;
}

// Bytes [outer, from, inner] as [outer, to, inner].
function along(bytes, outer, from, inner, to, name) {
  if (from === to) return bytes;
  const result = new bytes.constructor(outer * to * inner);
  const taps = weights(from, to, name);
  for (let row = 0; row < outer; row++) {
    for (let place = 0; place < to; place++) {
      const [first, factors] = taps[place];
      const begin = (row * from + first) * inner, end = (row * to + place) * inner;
      for (let at = 0; at < inner; at++) {
        let sum = SHIFT / 2;
        for (let tap = 0; tap < factors.length; tap++) sum += bytes[begin + tap * inner + at] * factors[tap];
        result[end + at] = Math.min(Math.max(Math.floor(sum / SHIFT), 0), 255);
      }
    }
  }
  return result;
}

// A picture or map of bytes [height, width, channels] at another height and width: across, then down.
export function resized(bytes, [height, width], [tall, wide], channels, name) {
  return along(along(bytes, height, width, channels, wide, name), 1, height, wide * channels, tall, name);
}

// As Python rounds: a half to the even number.
function round(x) {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

// Height and width of the resized picture, and those of the crop.
export function sizes({ mode, size, resize, shorter }, [height, width]) {
  if (mode === "none") return [[height, width], [height, width]];
  if (mode === "shorter side") {
    const factor = shorter / Math.min(height, width);
    const both = [height, width].map((side) => Math.max(round(side * factor), 1));
    return [both, both];
  }
  if (mode === "squash") return [resize, size];
  if (mode === "center" && resize[0] === resize[1]) {
    const long = Math.floor((resize[0] * Math.max(height, width)) / Math.min(height, width));
    return [height <= width ? [resize[0], long] : [long, resize[0]], size];
  }
  const ratios = [height / resize[0], width / resize[1]];
  const ratio = mode === "border" ? Math.max(...ratios) : Math.min(...ratios);
  return [[height, width].map((side) => Math.max(round(side / ratio), 1)), size];
}

const begin = (whole, part) => (part > whole ? -Math.floor((part - whole) / 2) : round((whole - part) / 2));

// The network's picture, RGB bytes [h, w, 3], of {data, width, height}, RGBA as a canvas has it.
export function shown({ data, width, height }, preparation) {
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0; at < width * height; at++) rgb.set(data.subarray(at * 4, at * 4 + 3), at * 3);
  const [whole, size] = sizes(preparation, [height, width]);
  const bytes = resized(rgb, [height, width], whole, 3, preparation.interpolation);
  const top = begin(whole[0], size[0]), left = begin(whole[1], size[1]);
  if (whole[0] === size[0] && whole[1] === size[1]) return { bytes, size };
  const kept = new Uint8Array(size[0] * size[1] * 3);
  for (let at = 0; at < kept.length; at++) {
    const y = Math.floor(at / 3 / size[1]) + top, x = (Math.floor(at / 3) % size[1]) + left;
    const inside = y >= 0 && y < whole[0] && x >= 0 && x < whole[1];
    kept[at] = inside ? bytes[(y * whole[1] + x) * 3 + (at % 3)] : preparation.fill[at % 3];
  }
  return { bytes: kept, size };
}

// The values and the shape of the file's input for a picture {data, width, height}.
export function inputOf(picture, labels) {
  const { bytes, size } = shown(picture, labels.preprocessing);
  if (labels.input.type === "uint8") return { data: bytes, shape: [1, ...size, 3] };
  const data = new Float32Array(bytes.length), area = size[0] * size[1];
  for (let at = 0; at < bytes.length; at++) data[(at % 3) * area + Math.floor(at / 3)] = bytes[at] / 255;
  return { data, shape: [1, 3, ...size] };
}

// {classes, scores, size} of the file's outputs, {name: {data, dims}}, for one picture: a classifier's classes, the
// best first, or a class map, whose height and width are `size`.
export function decisionOf(outputs, labels) {
  const size = labels.task === "segmentation" ? Object.values(outputs)[0].dims.slice(-2).map(Number) : null;
  if (outputs.classes) {
    return { classes: Array.from(outputs.classes.data, Number), scores: Array.from(outputs.scores.data), size };
  }
  const [name, values] = Object.entries(outputs)[0], count = labels.classes.length;
  const area = values.data.length / count;
  const decided = Array.from({ length: area }, (_, at) => ranked(values.data, count, area, at, name === "logits"));
  if (!size) return { classes: decided[0].order.slice(0, 5), scores: decided[0].scores.slice(0, 5), size };
  return { classes: decided.map((one) => one.order[0]), scores: decided.map((one) => one.scores[0]), size };
}

function ranked(data, count, area, at, logits) {
  const values = Array.from({ length: count }, (_, index) => data[index * area + at]);
  const most = Math.max(...values), raised = logits ? values.map((value) => Math.exp(value - most)) : values;
  const whole = logits ? raised.reduce((sum, value) => sum + value, 0) : 1;
  const order = values.map((_, index) => index).sort((one, other) => values[other] - values[one]);
  return { order, scores: order.map((index) => raised[index] / whole) };
}
