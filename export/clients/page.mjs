// The code of the page. All of its data is in the page, as text.
const LARGEST = 1024; // limit of the longer side in pixels, if the network takes pictures of any size
const part = (name) => document.getElementById(name);
const labels = JSON.parse(part("labels").textContent), sample = JSON.parse(part("sample").textContent);
const say = (text) => { part("status").textContent = text; };
const nameOf = (index) => labels.classes[index].name;

// The bytes of a part: base64, compressed where `packed`.
async function bytesOf(name, packed) {
  const text = atob(part(name).textContent.trim()), bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  if (!packed) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function started() {
  const code = URL.createObjectURL(new Blob([await bytesOf("runtime", true)], { type: "text/javascript" }));
  const ort = await import(code);
  ort.env.wasm.numThreads = 1; // a page opened from a file may use one thread only
  ort.env.wasm.wasmBinary = (await bytesOf("wasm", true)).buffer;
  const session = await ort.InferenceSession.create(await bytesOf("model", false));
  return async ({ data, shape }) => {
    const before = performance.now();
    const outputs = await session.run({ [labels.input.name]: new ort.Tensor(labels.input.type, data, shape) });
    return { ...decisionOf(outputs, labels), milliseconds: performance.now() - before };
  };
}

// Whether the model returns the expected output for the sample.
async function checked(answer) {
  const bytes = await bytesOf("values", false);
  const data = sample.input.type === "uint8" ? bytes : new Float32Array(bytes.buffer);
  const { classes } = await answer({ data, shape: sample.input.shape });
  const same = classes.filter((index, at) => index === sample.decision[at]).length;
  return labels.task === "segmentation" ? same / classes.length >= sample.least_equal : classes[0] === sample.decision[0];
}

// {data, width, height} of a photograph, upright; reduced if the network takes pictures of any size.
async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file);
  const fits = labels.task !== "segmentation" || labels.preprocessing.mode !== "none";
  const factor = fits ? 1 : Math.min(LARGEST / Math.max(bitmap.width, bitmap.height), 1);
  const canvas = part("picture"), context = canvas.getContext("2d", { willReadFrequently: true });
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height].map((side) => Math.max(Math.round(side * factor), 1));
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function row(index, share) {
  const line = document.createElement("li"), colour = document.createElement("i");
  const name = document.createElement("span"), number = document.createElement("b"), bar = document.createElement("meter");
  colour.hidden = !labels.classes[index].colour;
  colour.style.background = `rgb(${labels.classes[index].colour})`;
  [name.textContent, number.textContent, bar.value] = [nameOf(index), `${(100 * share).toFixed(1)} %`, share];
  line.append(colour, name, number, bar);
  return line;
}

function drawMask({ classes, size: [height, width] }) {
  const canvas = part("mask"), context = canvas.getContext("2d"), image = context.createImageData(width, height);
  [canvas.width, canvas.height] = [width, height];
  classes.forEach((index, at) => image.data.set([...(labels.classes[index].colour ?? [0, 0, 0]), 255], at * 4));
  context.putImageData(image, 0, 0);
  const whole = part("picture"); // it covers the whole photograph, for any input size of the network
  [canvas.style.width, canvas.style.height, canvas.style.aspectRatio] = ["100%", "100%", `${whole.width} / ${whole.height}`];
}

function show(decision) {
  const map = labels.task === "segmentation", counts = new Map();
  for (const index of map ? decision.classes : []) counts.set(index, (counts.get(index) ?? 0) + 1);
  const shares = [...counts].sort((one, other) => other[1] - one[1]).map(([index, n]) => [index, n / decision.classes.length]);
  const rows = map ? shares : decision.classes.map((index, at) => [index, decision.scores[at]]);
  part("answer").replaceChildren(...rows.map(([index, share]) => row(index, share)));
  part("mask").hidden = part("fade").hidden = !map;
  if (map) drawMask(decision);
  part("result").hidden = false;
}

let last = Promise.resolve();
function look(file, answer) {
  if (!file) return;
  last = last.then(async () => {
    say(`Running on ${file.name} …`);
    const decision = await answer(inputOf(await pixelsOf(file), labels));
    show(decision);
    window.decision = decision;
    say(`${file.name}: ${decision.milliseconds.toFixed(0)} ms.`);
  }).catch((error) => say(`${file.name} cannot be shown: ${error.message ?? error}`));
}

part("opacity").addEventListener("input", (event) => { part("mask").style.opacity = event.target.value / 100; });
part("mask").style.opacity = 0.6;
started().then(async (answer) => {
  const sound = await checked(answer);
  part("file").addEventListener("change", (event) => look(event.target.files[0], answer));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      part("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") look(event.dataTransfer.files[0], answer);
    });
  }
  say(sound ? "Ready. The output for the sample is the expected one." : "Do not trust this page: the output for the sample is not the expected one.");
  document.body.dataset.ready = sound ? "yes" : "no";
}).catch((error) => { say(`This browser cannot run the network: ${error.message ?? error}`); document.body.dataset.ready = "no"; });
