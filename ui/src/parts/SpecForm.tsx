// Forms of plain fields, written as data. Most open behind a button: their fields come then.
import { lazy, type ReactNode } from 'react';
import { Later } from './Later';

const SpecFields = lazy(() => import('./SpecFields').then((module) => ({ default: module.SpecFields })));

export interface Field {
  name: string;
  label: string;
  hint?: string;
  kind?: 'text' | 'area' | 'code' | 'number' | 'select' | 'multi' | 'switch' | 'password' | 'date' | 'time' | 'email' | 'tel' | 'tags' | 'datetime-local';
  options?: { value: string; label: string }[];
  required?: boolean;
  min?: number;
  max?: number;
  decimals?: number;
  suffix?: string;
  placeholder?: string;
  /** Over the whole width. */
  wide?: boolean;
  check?: (value: unknown, values: Record<string, unknown>) => string | null;
}

export type FormValues = Record<string, unknown>;

export interface SpecProps {
  fields: Field[];
  initial: FormValues;
  submit: string;
  onSubmit: (values: FormValues) => void;
  onCancel?: () => void;
  busy?: boolean;
  error?: unknown;
  columns?: number;
  children?: ReactNode;
}

export function SpecForm(props: SpecProps) {
  return (
    <Later>
      <SpecFields {...props} />
    </Later>
  );
}
