// One stream of live events for all pages of a window: who listens is told, and everybody sees whether it is alive.
import { createContext, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { PLATFORM } from './client';

interface LiveMessage {
  kind: string;
  data: Record<string, unknown> & { callId?: string; atMs?: number };
}

type Listener = (message: LiveMessage) => void;

const KINDS = [
  'call.started', 'call.changed', 'call.person', 'call.called', 'call.parked', 'call.transcript', 'call.agent_delta', 'call.caller_speaking', 'call.interrupted', 'call.quality', 'call.ended',
  'server.changed', 'registration.changed', 'reset', 'lost',
];

interface Live {
  subscribe: (listener: Listener) => () => void;
  /** `null`: alive; otherwise since when it is silent. */
  brokenSince: number | null;
}

const LiveContext = createContext<Live>({ subscribe: () => () => undefined, brokenSince: null });

/** One window of a browser holds the stream and tells the others: a browser opens few connections to one address. */
function follow(address: string, tell: Listener, alive: (yes: boolean) => void): () => void {
  const channel = new BroadcastChannel(`allo.live.${address}`);
  const over = new AbortController();
  let leave: () => void = () => undefined;
  channel.onmessage = (event: MessageEvent<LiveMessage | { alive: boolean }>) => {
    if ('alive' in event.data) alive(event.data.alive);
    else tell(event.data);
  };
  const hold = () =>
    new Promise<void>((resolve) => {
      const source = new EventSource(address);
      const state = (yes: boolean) => {
        alive(yes);
        channel.postMessage({ alive: yes });
      };
      for (const kind of KINDS) {
        source.addEventListener(kind, (event: MessageEvent<string>) => {
          let data: LiveMessage['data'] = {};
          try {
            data = JSON.parse(event.data) as LiveMessage['data'];
          } catch {
            // An event without JSON still says that something happened.
          }
          tell({ kind, data });
          channel.postMessage({ kind, data });
        });
      }
      source.onopen = () => state(true);
      source.onerror = () => state(false);
      leave = () => {
        source.close();
        resolve();
      };
    });
  // Without locks (plain HTTP elsewhere than on this machine) each window has a stream of its own.
  if (navigator.locks) navigator.locks.request(`allo.live.${address}`, { signal: over.signal }, hold).catch(() => undefined);
  else void hold();
  return () => {
    over.abort();
    leave();
    channel.close();
  };
}

export function LiveProvider({ accountId, children }: { accountId: string | undefined; children: ReactNode }) {
  const listeners = useRef(new Set<Listener>());
  const [brokenSince, setBrokenSince] = useState<number | null>(null);
  useEffect(() => {
    const query = accountId ? `?accountId=${encodeURIComponent(accountId)}` : '';
    return follow(
      `${PLATFORM}/api/events${query}`,
      (message) => {
        for (const listener of listeners.current) listener(message);
      },
      (yes) => setBrokenSince((since) => (yes ? null : (since ?? Date.now()))),
    );
  }, [accountId]);
  const live = useMemo<Live>(
    () => ({
      subscribe: (listener) => {
        listeners.current.add(listener);
        return () => listeners.current.delete(listener);
      },
      brokenSince,
    }),
    [brokenSince],
  );
  return <LiveContext.Provider value={live}>{children}</LiveContext.Provider>;
}

export function useLive(listener: Listener) {
  const { subscribe } = useContext(LiveContext);
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => subscribe((message) => latest.current(message)), [subscribe]);
}

export function useLiveState() {
  return useContext(LiveContext).brokenSince;
}

/** Seconds that tick, for durations of what runs. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
