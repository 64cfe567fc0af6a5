// Microphone and loudspeaker of this page in a call: by WebRTC where there is a way for it, else by WebSocket.
import type { Ears, Phone, Prepare } from './phone';

/** What is said where it does not work. */
export interface Faults {
  insecure: string;
  noMicrophone: string;
  noMicrophoneRemedy: string;
  noConnection: string;
}

export async function connect(prepare: Prepare, ears: Ears, faults: Faults): Promise<Phone> {
  // http elsewhere than on this machine has no microphone.
  if (!navigator.mediaDevices) throw { status: 0, code: '', title: faults.insecure };
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } }).catch(() => {
    throw { status: 0, code: '', title: faults.noMicrophone, remedy: faults.noMicrophoneRemedy };
  });
  const release = () => {
    for (const track of microphone.getTracks()) track.stop();
  };
  try {
    const { byWebRtc } = await import('./byWebRtc');
    let phone = await byWebRtc(prepare, microphone, ears);
    if (!phone) {
      const { bySocket } = await import('./bySocket');
      phone = await bySocket(prepare, microphone, ears, { status: 0, code: '', title: faults.noConnection });
    }
    const made = phone;
    return {
      ...made,
      hangUp: () => {
        made.hangUp();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}
