import { IconAlertTriangle, IconCircleCheck, IconCircleX, IconClock, IconPlayerPause, IconPlayerStop, type Icon } from '@tabler/icons-react';
import { Tag, type TagColor } from './cells';

export type Tone = 'good' | 'wait' | 'warn' | 'bad' | 'off' | 'pause';

const LOOK: Record<Tone, { color: TagColor; icon: Icon }> = {
  good: { color: 'allo', icon: IconCircleCheck },
  wait: { color: 'blue', icon: IconClock },
  warn: { color: 'orange', icon: IconAlertTriangle },
  bad: { color: 'red', icon: IconCircleX },
  off: { color: 'gray', icon: IconPlayerStop },
  pause: { color: 'gray', icon: IconPlayerPause },
};

/** A state as word and sign: never by colour alone. */
export function StateBadge({ tone, children }: { tone: Tone; children: string }) {
  const { color, icon: Shown } = LOOK[tone];
  return (
    <Tag className={`state state-${tone}`} color={color} icon={<Shown size={13} aria-hidden />}>
      {children}
    </Tag>
  );
}
