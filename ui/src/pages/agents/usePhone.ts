// The microphone of this page in a call: in one at a time, and in none when the page is left.
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, PLATFORM } from '../../api/client';
import { useLive } from '../../api/live';
import { connect } from './connect';
import type { Phone, Prepare, Ticket } from './phone';

/** What is asked for a call. */
export interface Wish {
  /** What is to be called, as the page knows it before there is a call. */
  what: string;
  /** Who gives the ticket, below `/api`. */
  path: string;
  body: Record<string, unknown>;
}

export interface UsePhone {
  /** The call that this page is in, and since when. */
  call: { id: string; since: number } | null;
  /** What it is about to be in. */
  connecting: string | null;
  muted: boolean;
  /** How loud the microphone is, 0 to 1. */
  level: number;
  /** Somebody else is heard. */
  speaking: boolean;
  /** Milliseconds to the server and back. */
  roundTrip: number | null;
  /** Why it did not work. */
  failed: unknown;
  /** The call that ended, or whose connection was closed from elsewhere. */
  closed: string | null;
  begin: (wish: Wish) => Promise<void>;
  hangUp: () => void;
  mute: () => void;
}

/** A call that is not connected by then is given up. */
const CONNECT_WITHIN_MS = 30_000;

/** What is said where it does not work, by who connects. */
const FAULTS = {
  'agents.voice': {
    insecure: 'agents.voice.insecure',
    noMicrophone: 'agents.voice.noMicrophone',
    noMicrophoneRemedy: 'agents.voice.noMicrophoneRemedy',
    noConnection: 'agents.voice.noConnection',
  },
  'calls.line': {
    insecure: 'calls.line.insecure',
    noMicrophone: 'calls.line.noMicrophone',
    noMicrophoneRemedy: 'calls.line.noMicrophoneRemedy',
    noConnection: 'calls.line.noConnection',
  },
} as const;

/** `words`: what is said where it does not work. `begins` is told the id of a call before it is connected. */
export function usePhone(words: keyof typeof FAULTS, begins: (id: string) => void = () => undefined): UsePhone {
  const { t } = useTranslation();
  const [call, setCall] = useState<UsePhone['call']>(null);
  const [connecting, setConnecting] = useState<string | null>(null);
  const [muted, setMuted] = useState(false);
  const [level, setLevel] = useState(0);
  const [speaking, setSpeaking] = useState(false);
  const [roundTrip, setRoundTrip] = useState<number | null>(null);
  const [failed, setFailed] = useState<unknown>(null);
  const [closed, setClosed] = useState<string | null>(null);
  const running = useRef<Phone | null>(null);
  /** The attempt under way; leaving the page gives it up. */
  const attempt = useRef<AbortController | null>(null);

  function hangUp() {
    const was = running.current;
    running.current = null;
    was?.hangUp();
    setCall(null);
    setMuted(false);
    setLevel(0);
    setSpeaking(false);
    return was?.id ?? null;
  }
  useEffect(
    () => () => {
      attempt.current?.abort();
      running.current?.hangUp();
      running.current = null;
    },
    [],
  );
  useLive(({ kind, data }) => {
    if (kind === 'call.ended' && running.current && data.callId === running.current.id) setClosed(hangUp());
  });

  async function begin({ what, path, body }: Wish) {
    if (running.current || attempt.current) return;
    setFailed(null);
    setClosed(null);
    setRoundTrip(null);
    setConnecting(what);
    const trying = (attempt.current = new AbortController());
    let late = false;
    const bound = window.setTimeout(() => {
      late = true;
      trying.abort();
    }, CONNECT_WITHIN_MS);
    const prepare: Prepare = async (offer) => {
      const ticket = await ask<Ticket>('POST', path, { ...body, offer });
      return { ...ticket, path: `${PLATFORM}${ticket.path}` };
    };
    try {
      const ears = { begins, level: setLevel, speaking: setSpeaking, roundTrip: setRoundTrip, closed: () => setClosed(hangUp()) };
      const own = FAULTS[words];
      const faults = { insecure: t(own.insecure), noMicrophone: t(own.noMicrophone), noMicrophoneRemedy: t(own.noMicrophoneRemedy), noConnection: t(own.noConnection) };
      const phone = await connect(prepare, ears, faults, trying.signal);
      running.current = phone;
      setCall({ id: phone.id, since: Date.now() });
    } catch (error) {
      if (late || !trying.signal.aborted) setFailed(error);
    }
    window.clearTimeout(bound);
    attempt.current = null;
    setConnecting(null);
  }

  function mute() {
    running.current?.mute(!muted);
    setMuted(!muted);
  }

  return { call, connecting, muted, level, speaking, roundTrip, failed, closed, begin, hangUp: () => void hangUp(), mute };
}
