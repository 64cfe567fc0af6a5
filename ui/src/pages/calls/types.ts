// The explanation and the journal of a call: versioned documents of the API that its OpenAPI document does not spell out.

export interface Sentence {
  code: string;
  params: Record<string, unknown>;
  severity: 'info' | 'warning' | 'error';
  text: string;
  remedy?: string | null;
}

export interface Statistics {
  packets_sent: number;
  packets_received: number;
  packets_lost: number;
  packets_late: number;
  concealed_ms: number;
  jitter_ms: number | null;
  round_trip_ms: number | null;
  mos: number | null;
  erle_db?: number | null;
  underruns: number;
}

export interface Explanation {
  verdict: Sentence;
  who: { label: string; text: string };
  why: Sentence[];
  duration_ms: number | null;
  talk_ms: number | null;
  timings: { invite_to_ring_ms?: number | null; invite_to_answer_ms?: number | null; answer_to_first_audio_ms?: number | null; answer_to_first_packet_ms?: number | null };
  turns: { stopped_at_ms: number; latency_ms?: number | null; text?: string | null }[];
  sound: { statistics: Statistics; one_way: unknown } | null;
  tools: { id: string; name: string; at_ms: number; outcome?: string | null; took_ms?: number | null }[];
  timeline: (Sentence & { at_ms: number; detail: boolean })[];
}

export interface JournalEntry {
  seq: number;
  at_ms: number;
  wall: string;
  event: { type: string } & Record<string, unknown>;
}

export interface SpokenLine {
  role: 'user' | 'assistant' | 'system';
  content: string;
  timestamp: string;
  atMs: number;
  interruptedAtMs?: number | null;
}
