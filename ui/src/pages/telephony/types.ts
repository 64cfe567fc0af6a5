import type { Schemas } from '../../api/client';

export type SipAccount = Schemas['AccountFields'] & {
  id: string;
  account_id: string;
  has_password: boolean;
  has_turn_password: boolean;
  status: Schemas['AccountStatus'];
  metrics: Schemas['AccountFigures'];
  version: number;
};

export interface TestStep {
  step: 'dns' | 'port' | 'tls' | 'options' | 'register' | 'call';
  verdict: 'passed' | 'warning' | 'failed' | 'skipped';
  code: string;
  sentence: string;
  remedy?: string | null;
  tookMs: number;
}

/** Whether audio is encrypted. */
export const SRTP = ['off', 'preferred', 'required', 'dtls_preferred', 'dtls_required'] as const;

/** Where devices are kept; also the key of what was read of them. */
export const DEVICES = '/api/admin/devices';

export type Device = Schemas['DeviceFields'] & {
  id: string;
  account_id: string;
  bindings: Schemas['BindingView'][];
  version: number;
};
