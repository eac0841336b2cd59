// Draws what the server publishes, and sends it what the slider says.
import { Req, Sub } from "./sp.js";

const KEPT = 300; // points
const LOW = 5, HIGH = 30; // degrees
const element = (id) => document.getElementById(id);
const show = (id, text) => (element(id).textContent = text);
const degrees = (value) => `${value.toFixed(1)} °C`;

let points = null; // the measurements, once their history is known
let early = []; // those that come before it

const { live, commands } = await (await fetch("sockets.json")).json();
const req = new Req(commands);

async function ask(command) {
  const reply = await req.request(JSON.stringify(command), { signal: AbortSignal.timeout(5000) });
  return reply.json();
}

new Sub(live, {
  topics: "room ",
  onmessage: (message) => add(JSON.parse(message.text().slice("room ".length))),
  onstate({ connected, retryAfter }) {
    element("state").className = connected ? "on" : "off";
    show("state", connected ? "live" : `no connection, next try in ${Math.ceil(retryAfter)} ms`);
    if (connected) load();
  },
});

// The subscription is there before the history is asked for, so no measurement is missed.
async function load() {
  points = null;
  points = await ask({ do: "history" });
  element("wanted").value = points.at(-1)?.wanted;
  early.splice(0).forEach(add);
}

function add(point) {
  if (points === null) early.push(point);
  else if (!(point.number <= points.at(-1)?.number)) {
    points = [...points, point].slice(-KEPT);
    show("temperature", degrees(point.temperature));
    show("wanted-now", degrees(point.wanted));
    requestAnimationFrame(draw);
  }
}

element("wanted").onchange = async ({ target }) => {
  try {
    const { error, wanted } = await ask({ do: "want", temperature: Number(target.value) });
    show("answer", error ?? `the heater knows: ${degrees(wanted)}`);
  } catch (error) {
    show("answer", `no answer: ${error.name}`);
  }
};

function draw() {
  const canvas = element("chart"), pen = canvas.getContext("2d");
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  pen.scale(devicePixelRatio, devicePixelRatio);
  const x = (at) => 46 + (at * (width - 56)) / (KEPT - 1);
  const y = (value) => 12 + ((HIGH - value) * (height - 24)) / (HIGH - LOW);

  pen.font = "12px system-ui, sans-serif";
  for (let value = LOW; value <= HIGH; value += 5) {
    pen.fillStyle = "#5d6b78";
    pen.fillText(`${value} °C`, 6, y(value) + 4);
    pen.fillStyle = "#d7dde3";
    pen.fillRect(46, y(value), width - 56, 1);
  }
  pen.fillStyle = "#f5d9ae"; // how much the heater does
  points.forEach(({ power }, at) => pen.fillRect(x(at), y(LOW), 3, -40 * power));
  for (const [name, color, thickness] of [["wanted", "#8a97a3", 1.5], ["temperature", "#d1481f", 2.5]]) {
    pen.beginPath();
    points.forEach((point, at) => pen.lineTo(x(at), y(point[name])));
    pen.strokeStyle = color;
    pen.lineWidth = thickness;
    pen.stroke();
  }
}
