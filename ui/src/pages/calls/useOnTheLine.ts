// The person in front of this page on the line of a running call: one call at a time, and none when the page is left.
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, PLATFORM } from '../../api/client';
import { useLive } from '../../api/live';
import { connect } from '../agents/connect';
import type { Ears, Phone, Prepare, Ticket } from '../agents/phone';

export type Seat = 'beside' | 'instead';

export interface OnTheLine {
  /** The call that this page is in. */
  id: string | null;
  /** The call that it is about to be in. */
  joining: string | null;
  muted: boolean;
  /** How loud the microphone is, 0 to 1. */
  level: number;
  /** Why it did not work. */
  failed: unknown;
  /** The call that ended, or whose connection was closed from elsewhere. */
  closed: string | null;
  join: (id: string, seat: Seat) => Promise<void>;
  leave: () => void;
  mute: () => void;
}

export function useOnTheLine(): OnTheLine {
  const { t } = useTranslation();
  const [id, setId] = useState<string | null>(null);
  const [joining, setJoining] = useState<string | null>(null);
  const [muted, setMuted] = useState(false);
  const [level, setLevel] = useState(0);
  const [failed, setFailed] = useState<unknown>(null);
  const [closed, setClosed] = useState<string | null>(null);
  const running = useRef<{ id: string; phone: Phone } | null>(null);
  const gone = useRef(false);

  function leave() {
    const was = running.current;
    running.current = null;
    was?.phone.hangUp();
    setId(null);
    setMuted(false);
    setLevel(0);
    return was?.id ?? null;
  }
  useEffect(() => {
    gone.current = false;
    return () => {
      // Leaving the page is leaving the call.
      gone.current = true;
      running.current?.phone.hangUp();
      running.current = null;
    };
  }, []);
  useLive(({ kind, data }) => {
    if (kind === 'call.ended' && running.current && data.callId === running.current.id) setClosed(leave());
  });

  async function join(call: string, seat: Seat) {
    if (running.current || joining) return;
    setFailed(null);
    setClosed(null);
    setJoining(call);
    try {
      const ears: Ears = {
        begins: () => undefined,
        level: setLevel,
        speaking: () => undefined,
        roundTrip: () => undefined,
        closed: () => setClosed(leave()),
      };
      const prepare: Prepare = async (offer) => {
        const ticket = await ask<Ticket>('POST', `/api/calls/${call}/join`, { seat, offer });
        return { ...ticket, path: `${PLATFORM}${ticket.path}` };
      };
      const phone = await connect(prepare, ears, { insecure: t('calls.line.insecure'), noMicrophone: t('calls.line.noMicrophone'), noMicrophoneRemedy: t('calls.line.noMicrophoneRemedy'), noConnection: t('calls.line.noConnection') });
      if (gone.current) {
        phone.hangUp();
        return;
      }
      running.current = { id: call, phone };
      setId(call);
    } catch (error) {
      setFailed(error);
    }
    setJoining(null);
  }

  function mute() {
    running.current?.phone.mute(!muted);
    setMuted(!muted);
  }

  return { id, joining, muted, level, failed, closed, join, leave: () => void leave(), mute };
}
