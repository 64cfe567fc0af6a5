// A bot for Twilio's Media Streams as OpenAI's own package for it makes one: TwilioRealtimeTransportLayer and RealtimeSession, unmodified, on the `ws` that
// they ask for. It knows of Twilio and of the Realtime API and nothing of allo. OPENAI_REALTIME_URL says where the model is, OPENAI_API_KEY with which key.
// Each event is a line of JSON on the output.
import { RealtimeAgent, RealtimeSession } from '@openai/agents/realtime';
import { TwilioRealtimeTransportLayer } from '@openai/agents-extensions';
import { WebSocketServer } from 'ws';

const say = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
const agent = new RealtimeAgent({ name: 'Receptionist', instructions: 'You answer the telephone. Greet the caller.' });
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/media-stream' });

server.on('listening', () => say('listening', { port: server.address().port }));
server.on('connection', async (socket) => {
  const transport = new TwilioRealtimeTransportLayer({ twilioWebSocket: socket });
  const session = new RealtimeSession(agent, { transport, model: 'gpt-realtime', tracingDisabled: true, config: { audio: { input: { turnDetection: { type: 'server_vad' } }, output: { voice: 'verse' } } } });
  session.on('transport_event', (event) => {
    if (event.type === 'twilio_message' && event.message.event !== 'media') say('twilio', { message: event.message });
    if (['input_audio_buffer.speech_started', 'input_audio_buffer.speech_stopped', 'error'].includes(event.type)) say(event.type, { error: event.error?.message });
  });
  session.on('audio_interrupted', () => say('interrupted'));
  session.on('error', (error) => say('failed', { error: String(error?.error?.message ?? error?.error ?? error) }));
  socket.on('close', () => {
    session.close();
    say('gone');
  });
  await session.connect({ apiKey: process.env.OPENAI_API_KEY, url: process.env.OPENAI_REALTIME_URL });
  say('connected');
  transport.sendEvent({ type: 'response.create' });
});
