// The sound of a call in the browser: the microphone at 8 kHz out, the agent at 8 kHz in, on the browser's own clock.
// A ring of what is to be played knows exactly which marks were passed, as a telephone would.

declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

/** Samples a second on the wire. */
const WIRE_HZ = 8000;
/** Samples of one message: 20 ms. */
const FRAME = 160;
/** Samples that wait to be played at most: two minutes. */
const WAITING_MAX = WIRE_HZ * 120;

class Telephone extends AudioWorkletProcessor {
  private frame = new Int16Array(FRAME);
  private filled = 0;
  private sum = 0;
  private count = 0;
  private phase = 0;
  private waiting: Int16Array[] = [];
  private queued = 0;
  private offset = 0;
  private played = 0;
  private received = 0;
  private readPhase = 0;
  private current = 0;
  private following = 0;
  private marks: { at: number; name: string }[] = [];
  private muted = false;
  private level = 0;
  private blocks = 0;

  constructor() {
    super();
    this.port.onmessage = (event: MessageEvent<{ sound?: ArrayBuffer; clear?: boolean; mark?: string; muted?: boolean }>) => {
      const { sound, clear, mark, muted } = event.data;
      if (sound && this.queued < WAITING_MAX) {
        const samples = new Int16Array(sound);
        this.waiting.push(samples);
        this.queued += samples.length;
        this.received += samples.length;
      }
      if (mark !== undefined) this.marks.push({ at: this.received, name: mark });
      if (clear) {
        this.played += this.queued;
        this.waiting = [];
        this.queued = 0;
        this.offset = 0;
        this.pass();
      }
      if (muted !== undefined) this.muted = muted;
    };
  }

  /** Tells the marks that were reached. */
  private pass() {
    while (this.marks[0] && this.marks[0].at <= this.played) this.port.postMessage({ mark: this.marks.shift()?.name });
  }

  private take(): number {
    const first = this.waiting[0];
    if (!first) return 0;
    const sample = first[this.offset] ?? 0;
    this.offset += 1;
    this.queued -= 1;
    this.played += 1;
    if (this.offset >= first.length) {
      this.waiting.shift();
      this.offset = 0;
    }
    return sample / 32768;
  }

  private hear(samples: Float32Array) {
    // The mean of the samples that fall into one of the wire's is low-pass enough for a voice.
    const step = WIRE_HZ / sampleRate;
    for (const sample of samples) {
      this.sum += sample;
      this.count += 1;
      this.phase += step;
      if (this.phase < 1) continue;
      this.phase -= 1;
      const mean = this.muted ? 0 : this.sum / this.count;
      this.level = Math.max(this.level, Math.abs(mean));
      this.frame[this.filled] = Math.max(-32768, Math.min(32767, Math.round(mean * 32767)));
      this.filled += 1;
      this.sum = 0;
      this.count = 0;
      if (this.filled === FRAME) {
        const sent = this.frame.slice().buffer;
        this.port.postMessage({ sound: sent }, [sent]);
        this.filled = 0;
      }
    }
  }

  private speak(out: Float32Array) {
    const step = WIRE_HZ / sampleRate;
    for (let index = 0; index < out.length; index += 1) {
      this.readPhase += step;
      while (this.readPhase >= 1) {
        this.readPhase -= 1;
        this.current = this.following;
        this.following = this.take();
      }
      out[index] = this.current + (this.following - this.current) * this.readPhase;
    }
  }

  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const microphone = inputs[0]?.[0];
    if (microphone) this.hear(microphone);
    const out = outputs[0]?.[0];
    if (out) this.speak(out);
    this.pass();
    this.blocks += 1;
    if (this.blocks % 30 === 0) {
      this.port.postMessage({ level: this.level, speaking: this.queued > 0 });
      this.level = 0;
    }
    return true;
  }
}

registerProcessor('telephone', Telephone);
