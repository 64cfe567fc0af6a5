// The sound of a call by WebRTC: wideband, by UDP, with the browser's own treatment of a voice.
import type { Ears, Phone, Prepare } from './phone';

/** How long the browser may look for its own addresses: without servers to ask it is done at once. */
const GATHERED_WITHIN_MS = 1000;
/** A way that is not open after this long is taken for closed. */
const CONNECTED_WITHIN_MS = 4000;
/** How often levels are looked at. */
const LOOK_EVERY_MS = 200;
/** Louder than this is somebody who speaks, of 1. */
const SPEAKS = 0.01;

/** The way was closed once: the calls of this visit do not wait for it again. */
let closedWay = false;

/** Null: there is no way for WebRTC here, and the call is to be made by WebSocket. */
export async function byWebRtc(prepare: Prepare, microphone: MediaStream, ears: Ears): Promise<Phone | null> {
  if (closedWay || typeof RTCPeerConnection === 'undefined') return null;
  const peer = new RTCPeerConnection();
  const sound = new Audio();
  const [track] = microphone.getAudioTracks();
  let looking = 0;
  const close = () => {
    window.clearInterval(looking);
    window.removeEventListener('pagehide', close);
    peer.onconnectionstatechange = null;
    for (const sender of peer.getSenders()) if (sender.transport) sender.transport.onstatechange = null;
    peer.close();
    sound.srcObject = null;
  };
  try {
    const sender = track ? peer.addTrack(track, microphone) : null;
    peer.ontrack = ({ track: theirs, streams }) => {
      sound.srcObject = streams[0] ?? new MediaStream([theirs]);
      void sound.play().catch(() => undefined);
    };
    await peer.setLocalDescription();
    await until(GATHERED_WITHIN_MS, (look) => (peer.onicegatheringstatechange = look), () => peer.iceGatheringState === 'complete');
    const ticket = await prepare(peer.localDescription?.sdp);
    ears.begins(ticket.id);
    await peer.setRemoteDescription({ type: 'answer', sdp: ticket.answer ?? '' });
    const open = await until(CONNECTED_WITHIN_MS, (look) => (peer.onconnectionstatechange = look), () => peer.connectionState !== 'new' && peer.connectionState !== 'connecting');
    if (!open || peer.connectionState !== 'connected') {
      closedWay = true;
      close();
      return null;
    }
    const lost = () => {
      const closed = sender?.transport?.state === 'closed' || sender?.transport?.state === 'failed';
      if (closed || peer.connectionState === 'failed' || peer.connectionState === 'closed') ears.closed();
    };
    peer.onconnectionstatechange = lost;
    if (sender?.transport) sender.transport.onstatechange = lost;
    window.addEventListener('pagehide', close);
    looking = window.setInterval(() => void look(peer, ears), LOOK_EVERY_MS);
    return {
      id: ticket.id,
      mute: (muted) => {
        if (track) track.enabled = !muted;
      },
      hangUp: close,
    };
  } catch (error) {
    close();
    // The server has no port for it, or the browsers' and its SDP do not fit: a reason that a WebSocket does not have.
    if (error instanceof Error || NO_WAY.includes((error as { code?: string }).code ?? '')) return null;
    throw error;
  }
}

const NO_WAY = ['api_no_media_port', 'api_offer_no_audio', 'api_offer_no_codec', 'api_offer_unusable'];

/** Waits for something that an event may have brought about; false when it did not come in time. */
function until(withinMs: number, listen: (look: () => void) => void, done: () => boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = window.setTimeout(() => resolve(false), withinMs);
    const look = () => {
      if (!done()) return;
      window.clearTimeout(timer);
      resolve(true);
    };
    listen(look);
    look();
  });
}

async function look(peer: RTCPeerConnection, ears: Ears) {
  const heard = peer.getReceivers()[0]?.getSynchronizationSources()[0]?.audioLevel ?? 0;
  ears.speaking(heard > SPEAKS);
  for (const [, report] of await peer.getStats()) {
    const { type, audioLevel, nominated, currentRoundTripTime } = report as { type: string; audioLevel?: number; nominated?: boolean; currentRoundTripTime?: number };
    if (type === 'media-source' && audioLevel !== undefined) ears.level(audioLevel);
    if (type === 'candidate-pair' && nominated && currentRoundTripTime !== undefined) ears.roundTrip(currentRoundTripTime * 1000);
  }
}
