// A tool, run now with a sample caller: what is sent, what comes back, what the agent would be told.
import { Alert, Badge, Button, Code, Group, JsonInput, SimpleGrid, Stack, Switch, Text, TextInput } from '@mantine/core';
import { IconPlayerPlay } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, type Schemas } from '../../api/client';
import { useAction } from '../../parts/actions';
import { milliseconds } from '../../parts/format';
import { ErrorNote } from '../../parts/Page';
import classes from '../calls/Calls.module.css';
import type { Agent, Tool } from './types';

type Run = Schemas['ToolRunView'];

/** Something for each argument, so that a first run needs no typing. */
function sample(schema: Tool['parameters']): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(schema?.properties ?? {})) {
    if (Array.isArray(one.enum)) values[name] = one.enum[0];
    else if (one.type === 'number' || one.type === 'integer') values[name] = one.minimum ?? 1;
    else if (one.type === 'boolean') values[name] = true;
    else if (one.type === 'array') values[name] = [];
    else if (one.type === 'object') values[name] = {};
    else values[name] = '';
  }
  return values;
}

const pretty = (text: string | null | undefined) => {
  if (!text) return '–';
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

export function ToolTrial({ agent, tool }: { agent: Agent; tool: Tool }) {
  const { t } = useTranslation();
  const [args, setArgs] = useState(() => JSON.stringify(sample(tool.parameters), null, 2));
  const [context, setContext] = useState('{}');
  const [phone, setPhone] = useState('+33612345678');
  const [verified, setVerified] = useState(false);
  const [session, setSession] = useState(false);
  const reads = (tool.http?.method ?? 'GET') === 'GET' && Boolean(tool.http);
  const [dry, setDry] = useState(!reads);
  const [fault, setFault] = useState<{ arguments?: string; context?: string }>({});
  const run = useAction((body: Record<string, unknown>) => ask<Run>('POST', `/api/agents/${agent.id}/tools/${tool.id}/run`, body), { quiet: true });

  function submit() {
    const read = (text: string) => {
      const value: unknown = JSON.parse(text || '{}');
      if (!value || typeof value !== 'object' || Array.isArray(value)) throw new TypeError();
      return value;
    };
    const found: typeof fault = {};
    let given: unknown = {};
    let known: unknown = {};
    try {
      given = read(args);
    } catch {
      found.arguments = t('agents.editor.jsonInvalid');
    }
    try {
      known = read(context);
    } catch {
      found.context = t('agents.editor.jsonInvalid');
    }
    setFault(found);
    if (found.arguments || found.context) return;
    run.mutate({ arguments: given, context: known, callerPhone: phone.trim() || undefined, callerVerified: verified, session, dryRun: dry });
  }

  const fromServer = useMemo(() => {
    const errors = (run.error as { errors?: { path: string; detail: string }[] } | null)?.errors ?? [];
    const of = (name: string) => errors.find((one) => one.path.startsWith(name))?.detail;
    return { arguments: of('arguments'), context: of('context'), callerPhone: of('callerPhone') };
  }, [run.error]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t('agents.trial.intro')}
        </Text>
        <JsonInput label={t('agents.tools.arguments')} autosize minRows={3} maxRows={16} validationError={t('agents.editor.jsonInvalid')} value={args} onChange={setArgs} spellCheck={false} error={fault.arguments ?? fromServer.arguments} data-autofocus />
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <TextInput label={t('agents.chat.phone')} description={t('agents.voice.fromHint')} value={phone} onChange={(event) => setPhone(event.currentTarget.value)} inputMode="tel" error={fromServer.callerPhone} />
          <JsonInput label={t('agents.trial.context')} description={t('agents.trial.contextHint')} autosize minRows={1} maxRows={10} validationError={t('agents.editor.jsonInvalid')} value={context} onChange={setContext} spellCheck={false} error={fault.context ?? fromServer.context} />
        </SimpleGrid>
        <Group gap="xl">
          <Switch label={t('agents.trial.dry')} description={t('agents.trial.dryHint')} checked={dry} onChange={(event) => setDry(event.currentTarget.checked)} />
          <Switch label={t('agents.trial.verified')} checked={verified} onChange={(event) => setVerified(event.currentTarget.checked)} />
          {Boolean(agent.externalSessionUrl) && <Switch label={t('agents.trial.session')} checked={session} onChange={(event) => setSession(event.currentTarget.checked)} />}
        </Group>
        <Group>
          <Button type="submit" leftSection={<IconPlayerPlay size={16} />} loading={run.isPending}>
            {dry ? t('agents.trial.show') : t('agents.trial.run')}
          </Button>
        </Group>
        {run.error ? <ErrorNote error={run.error} /> : null}
        <div aria-live="polite">{run.data && <Result run={run.data} />}</div>
      </Stack>
    </form>
  );
}

function Result({ run }: { run: Run }) {
  const { t } = useTranslation();
  const sent = run.requests.some((one) => one.sent);
  const tone = run.refusal ? 'orange' : run.ok === false ? 'red' : run.ok ? 'teal' : 'gray';
  return (
    <Stack gap="sm" data-trial={run.refusal ?? (run.ok === null || run.ok === undefined ? 'dry' : run.ok ? 'ok' : 'failed')}>
      <Group gap={6}>
        <Badge color={tone}>{run.refusal ? t('agents.trial.refused') : run.ok === true ? t('agents.trial.ok') : run.ok === false ? t('agents.trial.failed') : t('agents.trial.notSent')}</Badge>
        {sent && <Badge color="gray">{milliseconds(run.tookMs)}</Badge>}
        {run.effect === 'hang_up' && <Badge color="blue">{t('agents.tools.flags.triggersHangup')}</Badge>}
        {run.effect === 'transfer' && <Badge color="blue">{t('agents.trial.transfers', { target: run.target })}</Badge>}
      </Group>
      {run.refusal && (
        <Alert color="orange" role="alert">
          {t(`agents.trial.refusals.${run.refusal}` as 'agents.trial.refusals.bad_arguments', { defaultValue: run.refusal })}
        </Alert>
      )}
      {run.confirms && <Alert color="gray">{t('agents.trial.confirms')}</Alert>}
      {run.requests.map((one, index) => (
        <section key={index} aria-label={t('agents.trial.request', { number: index + 1 })}>
          <Group gap={6} mb={4}>
            <Code>{one.method}</Code>
            <Text size="sm" ff="monospace" style={{ overflowWrap: 'anywhere' }}>
              {one.url}
            </Text>
          </Group>
          {one.headers.length > 0 && <pre className={classes.pre}>{one.headers.map((header) => `${header.name}: ${header.value}`).join('\n')}</pre>}
          {one.body && (
            <>
              <Text size="xs" fw={600}>
                {t('calls.call.sent')}
              </Text>
              <pre className={classes.pre}>{pretty(one.body)}</pre>
            </>
          )}
          {one.sent && (
            <>
              <Group gap={6}>
                <Text size="xs" fw={600}>
                  {t('calls.call.answered')}
                </Text>
                {one.status != null && <Badge color={one.status < 400 ? 'teal' : 'red'}>HTTP {one.status}</Badge>}
                <Text size="xs" c="dimmed">
                  {milliseconds(one.tookMs)}
                </Text>
              </Group>
              {one.failure ? (
                <Alert color="red" role="alert" mt={4}>
                  {t(`agents.trial.failures.${one.failure}` as 'agents.trial.failures.connect', { defaultValue: one.failure })}
                </Alert>
              ) : (
                <pre className={classes.pre}>{pretty(one.reply)}</pre>
              )}
            </>
          )}
        </section>
      ))}
      {run.output != null && (
        <div>
          <Text size="xs" fw={600}>
            {t('agents.trial.output')}
          </Text>
          <pre className={classes.pre}>{pretty(JSON.stringify(run.output))}</pre>
        </div>
      )}
      {Object.keys(run.context).length > 0 && (
        <div>
          <Text size="xs" fw={600}>
            {t('agents.trial.changed')}
          </Text>
          <pre className={classes.pre}>{JSON.stringify(run.context, null, 2)}</pre>
        </div>
      )}
      <Text size="xs" c="dimmed">
        {t('agents.trial.secrets')}
      </Text>
    </Stack>
  );
}
