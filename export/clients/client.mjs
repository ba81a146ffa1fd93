// Prints the classes of the sample: node client.mjs. With `npm install onnxruntime-node`, import "onnxruntime-node" and
// leave out the two lines about `wasm`.
import { readFileSync } from "node:fs";
import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { decisionOf } from "./pictures.mjs";

const read = (name) => new Uint8Array(readFileSync(new URL(name, import.meta.url)));
const json = (name) => JSON.parse(new TextDecoder().decode(read(name)));
const labels = json("labels.json"), { input } = json("sample/sample.json");
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = read("runtime/ort-wasm-simd-threaded.wasm").buffer;
const session = await ort.InferenceSession.create(read("model.onnx"));
const values = input.type === "uint8" ? read(`sample/${input.file}`) : new Float32Array(read(`sample/${input.file}`).buffer);
const outputs = await session.run({ [input.name]: new ort.Tensor(input.type, values, input.shape) });
const { classes, scores } = decisionOf(outputs, labels);
for (const index of new Set(classes)) {
  const score = labels.task === "segmentation" ? classes.filter((c) => c === index).length / classes.length : scores[classes.indexOf(index)];
  console.log(score.toFixed(3), labels.classes[index].name);
}
