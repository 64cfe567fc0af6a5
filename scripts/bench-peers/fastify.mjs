// A plain bridge as the usual tutorials build it: Fastify with ws, one engine connection a call, nothing else.
import Fastify from "fastify";
import formbody from "@fastify/formbody";
import websocket from "@fastify/websocket";
import WebSocket from "ws";

const app = Fastify({ logger: false });
await app.register(formbody);
await app.register(websocket);

app.all("/incoming-call", (request, reply) => {
  reply.type("text/xml").send(`<Response><Connect><Stream url="ws://${request.headers.host}/media-stream" /></Connect></Response>`);
});

app.get("/media-stream", { websocket: true }, (caller) => {
  const engine = new WebSocket(process.env.ENGINE_URL, { perMessageDeflate: false });
  let streamSid = null;
  engine.on("open", () => {
    engine.send(JSON.stringify({
      type: "session.update",
      session: { type: "realtime", audio: { input: { format: { type: "audio/pcmu" } }, output: { format: { type: "audio/pcmu" } } } },
    }));
  });
  engine.on("message", (data) => {
    const event = JSON.parse(data);
    if (event.type === "response.output_audio.delta" && event.delta) {
      caller.send(JSON.stringify({ event: "media", streamSid, media: { payload: event.delta } }));
      caller.send(JSON.stringify({ event: "mark", streamSid, mark: { name: "responsePart" } }));
    }
  });
  engine.on("close", () => caller.close());
  engine.on("error", () => caller.close());
  caller.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.event === "media") {
      if (engine.readyState === WebSocket.OPEN) {
        engine.send(JSON.stringify({ type: "input_audio_buffer.append", audio: message.media.payload }));
      }
    } else if (message.event === "start") {
      streamSid = message.start.streamSid;
    }
  });
  caller.on("close", () => engine.close());
});

const address = await app.listen({ host: "127.0.0.1", port: 0 });
console.log(`${address}/incoming-call`);
