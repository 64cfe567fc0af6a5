import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useEffect, useRef, useState } from 'react';

/** A filter that lives in the address: sharing the page shares what is seen. An empty value leaves the address. */
export function useUrlState(name: string, initial = ''): [string, (value: string) => void] {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const value = search[name] === undefined ? initial : String(search[name]);
  const set = useCallback(
    (next: string) =>
      void navigate({
        to: '.',
        replace: true,
        search: ((old: Record<string, unknown>) => ({ ...old, [name]: next === initial || next === '' ? undefined : next })) as never,
      }),
    [navigate, name, initial],
  );
  return [value, set];
}

/** How long a hand rests before the address follows it. */
const REST_MS = 200;

/** The same for a text that is typed, and an order that is chosen again and again: the page follows each time, the address once the hand rests. */
export function useTypedUrlState(name: string, initial = ''): [string, (value: string) => void] {
  const [kept, keep] = useUrlState(name, initial);
  const [typed, setTyped] = useState(kept);
  const rest = useRef<ReturnType<typeof setTimeout> | null>(null);
  // The way back, and links, change the address too.
  useEffect(() => {
    if (rest.current === null) setTyped(kept);
  }, [kept]);
  useEffect(() => () => void (rest.current !== null && clearTimeout(rest.current)), []);
  const type = useCallback(
    (value: string) => {
      setTyped(value);
      if (rest.current !== null) clearTimeout(rest.current);
      rest.current = setTimeout(() => {
        rest.current = null;
        keep(value);
      }, REST_MS);
    },
    [keep],
  );
  return [typed, type];
}
