// The client in node of clients.py: decisions and median milliseconds of images.bin, on standard output.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { decisionOf } from "./pictures.mjs";
const [which, place] = process.argv.slice(2);
const web = "./runtime/ort.wasm.bundle.min.mjs";
const ort = which === "web" ? await import(web) : createRequire(place + "/x.js")("onnxruntime-node");
if (which === "web") {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = new Uint8Array(readFileSync("runtime/ort-wasm-simd-threaded.wasm")).buffer;
}
const labels = JSON.parse(readFileSync("labels.json")), { input } = JSON.parse(readFileSync("sample/sample.json"));
const options = which === "web" ? {} : { intraOpNumThreads: 1, interOpNumThreads: 1 };
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync("model.onnx")), options);
const bytes = new Uint8Array(readFileSync("images.bin"));
const size = input.shape.reduce((a, b) => a * b) * (input.type === "uint8" ? 1 : 4);
const decisions = [], times = [];
for (let at = 0; at < bytes.length; at += size) {
  const part = bytes.slice(at, at + size);
  const values = input.type === "uint8" ? part : new Float32Array(part.buffer);
  const before = performance.now();
  const outputs = await session.run({ [input.name]: new ort.Tensor(input.type, values, input.shape) });
  times.push(performance.now() - before);
  const { classes } = decisionOf(outputs, labels);
  decisions.push(labels.task === "segmentation" ? classes : classes.slice(0, 1));
}
console.log(JSON.stringify({ decisions, milliseconds: times.sort((a, b) => a - b)[times.length >> 1] }));
