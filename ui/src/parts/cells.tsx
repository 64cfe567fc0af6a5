// What stands in the cells of tables. A table has hundreds of them: plain elements with a class, for a component of the library reads its
// theme, its variants and its styles for each (docs/performance.md has the profile).
import type { ReactNode } from 'react';
import classes from './cells.module.css';

/** Lines one below the other. */
export function Lines({ children, right }: { children: ReactNode; right?: boolean }) {
  return <div className={right ? `${classes.lines} ${classes.right}` : classes.lines}>{children}</div>;
}

/** The name of a row. */
export function Main({ children, mono }: { children: ReactNode; mono?: boolean }) {
  return <span className={mono ? `${classes.main} ${classes.mono}` : classes.main}>{children}</span>;
}

/** What is said beside it, smaller. */
export function Small({ children, mono, strong, bad, title }: { children: ReactNode; mono?: boolean; strong?: boolean; bad?: boolean; title?: string }) {
  return (
    <span className={`${classes.small} ${mono ? classes.mono : ''} ${strong ? classes.strong : ''} ${bad ? classes.bad : ''}`} title={title}>
      {children}
    </span>
  );
}

export type TagColor = 'allo' | 'gray' | 'red' | 'orange' | 'teal' | 'blue' | 'violet';

/** A word on a tinted ground, as the library's badges look. */
export function Tag({ children, color = 'allo', icon, className = '' }: { children: ReactNode; color?: TagColor; icon?: ReactNode; className?: string }) {
  return (
    <span className={`${classes.tag} ${className}`} data-color={color}>
      {icon}
      {children}
    </span>
  );
}
