// The names that templates know (docs/templates.md): those of every call, and those of this agent.
import type { TemplateName } from '../../parts/TemplateInput';
import type { Agent, Tool } from './types';

const CALL = ['callerPhone', 'callerName', 'calledNumber', 'callId', 'direction', 'startedAt', 'now_iso', 'local_date', 'local_time', 'weekday', 'timezone', 'language', 'call_duration_sec', 'callerVerified'];
const CONTEXT = ['caller_phone', 'called_number', 'call_id', 'customer_id', 'customer_name', 'caller_verified'];

/** `args`: names of the tool's arguments, as its form has them now. */
export function variablesOf(agent: Agent, tools: Tool[] = [], args: string[] = []): TemplateName[] {
  const config = Object.keys((agent.config as Record<string, unknown> | undefined) ?? {});
  const updates = tools.flatMap((tool) => Object.keys((tool.contextUpdates as Record<string, unknown> | undefined) ?? {}));
  const names = [
    ...args.map((name) => `$ai.${name}`),
    ...[...new Set([...CONTEXT, ...updates])].map((name) => `ctx.${name}`),
    ...config.map((name) => `config.${name}`),
    'BASE_URL',
    'agent.name',
    ...CALL,
    'data.',
  ];
  return [...new Set(names)].map((name) => ({ name }));
}
