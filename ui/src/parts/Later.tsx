import { Suspense, useEffect, useRef, type ReactNode } from 'react';
import { Loading } from './Page';

/** What comes with code of its own, when it is opened. In a dialog its first field is then where the hand is, as if it had been there at once. */
export function Later({ children }: { children: ReactNode }) {
  return (
    <Suspense fallback={<Loading />}>
      <Arrived>{children}</Arrived>
    </Suspense>
  );
}

function Arrived({ children }: { children: ReactNode }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (place.current?.closest('[role=dialog]')) place.current.querySelector<HTMLElement>('[data-autofocus]')?.focus();
  }, []);
  return <div ref={place}>{children}</div>;
}
