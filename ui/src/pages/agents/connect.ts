// Microphone and loudspeaker of this page in a call: by WebRTC where there is a way for it, else by WebSocket.
import type { Ears, Phone, Prepare } from './phone';

/** What is said where it does not work. */
export interface Faults {
  insecure: string;
  noMicrophone: string;
  noMicrophoneRemedy: string;
  noConnection: string;
}

/** `closed` of the ears is told of a call that is connected; one that is lost before that, or given up, fails. */
export async function connect(prepare: Prepare, ears: Ears, faults: Faults, givenUp: AbortSignal): Promise<Phone> {
  // http elsewhere than on this machine has no microphone.
  if (!navigator.mediaDevices) throw { status: 0, code: '', title: faults.insecure };
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } }).catch(() => {
    throw { status: 0, code: '', title: faults.noMicrophone, remedy: faults.noMicrophoneRemedy };
  });
  const release = () => {
    for (const track of microphone.getTracks()) track.stop();
  };
  const failure = { status: 0, code: '', title: faults.noConnection };
  let closed = () => undefined as void;
  const lost = new Promise<never>((_, reject) => {
    closed = () => reject(failure);
    givenUp.addEventListener('abort', () => reject(failure));
  });
  const making = made(prepare, microphone, { ...ears, closed: () => closed() }, failure, givenUp);
  try {
    if (givenUp.aborted) throw failure;
    const phone = await Promise.race([making, lost]);
    closed = ears.closed;
    return {
      ...phone,
      hangUp: () => {
        phone.hangUp();
        release();
      },
    };
  } catch (error) {
    release();
    // It may come about all the same.
    making.then(
      (late) => late.hangUp(),
      () => undefined,
    );
    throw error;
  }
}

async function made(prepare: Prepare, microphone: MediaStream, ears: Ears, failure: unknown, givenUp: AbortSignal): Promise<Phone> {
  const { byWebRtc } = await import('./byWebRtc');
  // Who has left asks for no further call.
  const asked: Prepare = async (offer) => {
    if (givenUp.aborted) throw failure;
    return prepare(offer);
  };
  const phone = await byWebRtc(asked, microphone, ears);
  if (phone) return phone;
  const { bySocket } = await import('./bySocket');
  return bySocket(asked, microphone, ears, failure, givenUp);
}
