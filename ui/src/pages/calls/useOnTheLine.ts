// The person in front of this page on the line of a running call.
import { usePhone } from '../agents/usePhone';

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
  /** Takes a caller out of their parking place. */
  retrieve: (id: string) => Promise<void>;
  leave: () => void;
  mute: () => void;
}

export function useOnTheLine(): OnTheLine {
  const { call, connecting, muted, level, failed, closed, begin, hangUp, mute } = usePhone('calls.line');
  const join = (id: string, seat: Seat) => begin({ what: id, path: `/api/calls/${id}/join`, body: { seat } });
  const retrieve = (id: string) => begin({ what: id, path: `/api/calls/${id}/retrieve`, body: {} });
  return { id: call?.id ?? null, joining: connecting, muted, level, failed, closed, join, retrieve, leave: hangUp, mute };
}
