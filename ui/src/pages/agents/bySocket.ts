// The sound of a call by WebSocket, in the quality of a telephone: for where WebRTC finds no way.
import type { Ears, Phone, Prepare } from './phone';
import worklet from './sound.worklet.ts?worker&url';

export async function bySocket(prepare: Prepare, microphone: MediaStream, ears: Ears, failure: unknown, givenUp: AbortSignal): Promise<Phone> {
  const context = new AudioContext({ latencyHint: 'interactive' });
  let socket: WebSocket | undefined;
  const drop = () => {
    if (socket) socket.onclose = null;
    socket?.close();
    if (context.state !== 'closed') void context.close();
  };
  // Also while the rest hangs: nobody is to speak to a page that was left.
  givenUp.addEventListener('abort', drop);
  try {
    await context.audioWorklet.addModule(worklet);
    const node = new AudioWorkletNode(context, 'telephone', { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1] });
    const ticket = await prepare();
    ears.begins(ticket.id);
    if (givenUp.aborted) throw failure;
    const way = (socket = new WebSocket(`${window.location.protocol === 'https:' ? 'wss' : 'ws'}://${window.location.host}${ticket.path}`));
    way.binaryType = 'arraybuffer';
    node.port.onmessage = (event: MessageEvent<{ sound?: ArrayBuffer; mark?: string; level?: number; speaking?: boolean }>) => {
      const { sound, mark, level, speaking } = event.data;
      if (way.readyState !== WebSocket.OPEN) return;
      if (sound) way.send(sound);
      if (mark !== undefined) way.send(JSON.stringify({ event: 'mark', mark: { name: mark } }));
      if (level !== undefined) ears.level(level);
      if (speaking !== undefined) ears.speaking(speaking);
    };
    way.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      if (typeof event.data !== 'string') {
        node.port.postMessage({ sound: event.data }, [event.data]);
        return;
      }
      const said = JSON.parse(event.data) as { event?: string; mark?: { name?: string } };
      if (said.event === 'clear') node.port.postMessage({ clear: true });
      if (said.event === 'mark') node.port.postMessage({ mark: said.mark?.name ?? '' });
    };
    // From the beginning: one that is closed while the rest is made ready is known to be.
    way.onclose = () => ears.closed();
    await new Promise<void>((resolve, reject) => {
      way.onopen = () => resolve();
      way.onerror = () => reject(failure);
    });
    way.send(JSON.stringify({ event: 'start' }));
    context.createMediaStreamSource(microphone).connect(node).connect(context.destination);
    await context.resume();
    return {
      id: ticket.id,
      mute: (muted) => node.port.postMessage({ muted }),
      hangUp: () => {
        if (way.readyState === WebSocket.OPEN) way.send(JSON.stringify({ event: 'stop' }));
        drop();
      },
    };
  } catch (error) {
    drop();
    throw error;
  }
}
