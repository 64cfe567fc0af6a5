// What the agent would be told of a sample caller: the instructions as they are written now, with every variable filled in.
import { Alert, Badge, Button, Group, JsonInput, Stack, Switch, Text, TextInput } from '@mantine/core';
import { IconEye } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, type Schemas } from '../../api/client';
import { useAction } from '../../parts/actions';
import { ErrorNote } from '../../parts/Page';
import classes from '../calls/Calls.module.css';
import type { Agent } from './types';

export function Preview({ agent, prompt }: { agent: Agent; prompt: string }) {
  const { t } = useTranslation();
  const [phone, setPhone] = useState('+33612345678');
  const [context, setContext] = useState('{\n  "customer_name": "Ada"\n}');
  const [session, setSession] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  const show = useAction((body: Record<string, unknown>) => ask<Schemas['PreviewView']>('POST', `/api/agents/${agent.id}/preview`, body), { quiet: true });
  const seen = show.data;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        // The form of the settings is not meant.
        event.stopPropagation();
        try {
          const known = JSON.parse(context || '{}') as unknown;
          setFault(null);
          show.mutate({ basePrompt: prompt, callerPhone: phone.trim() || undefined, context: known, session });
        } catch {
          setFault(t('agents.editor.jsonInvalid'));
        }
      }}
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t('agents.preview.intro')}
        </Text>
        <TextInput label={t('agents.chat.phone')} description={t('agents.voice.fromHint')} value={phone} onChange={(event) => setPhone(event.currentTarget.value)} inputMode="tel" />
        <JsonInput label={t('agents.trial.context')} description={t('agents.trial.contextHint')} autosize minRows={3} validationError={t('agents.editor.jsonInvalid')} value={context} onChange={setContext} spellCheck={false} error={fault} />
        {Boolean(agent.externalSessionUrl) && <Switch label={t('agents.trial.session')} checked={session} onChange={(event) => setSession(event.currentTarget.checked)} />}
        <Group>
          <Button type="submit" leftSection={<IconEye size={16} />} loading={show.isPending}>
            {t('agents.preview.show')}
          </Button>
        </Group>
        {show.error ? <ErrorNote error={show.error} title={t('agents.preview.faults')} /> : null}
        {seen && (
          <Stack gap="sm" data-preview>
            {seen.sessionFault && <Alert color="orange">{seen.sessionFault}</Alert>}
            <div>
              <Text size="xs" fw={600}>
                {t('agents.preview.first')}
              </Text>
              <pre className={classes.pre}>{`${seen.disclosure}\n${seen.greeting}`}</pre>
            </div>
            <div>
              <Text size="xs" fw={600}>
                {t('agents.editor.prompt')}
              </Text>
              <pre className={classes.pre} tabIndex={0}>
                {seen.instructions}
              </pre>
            </div>
            <Group gap={6}>
              <Text size="xs" fw={600}>
                {t('agents.tabs.tools')}
              </Text>
              {seen.tools.length === 0 ? <Text size="sm">–</Text> : seen.tools.map((tool) => <Badge key={tool.name} color="gray">{tool.name}</Badge>)}
            </Group>
            <div>
              <Text size="xs" fw={600}>
                {t('agents.trial.context')}
              </Text>
              <pre className={classes.pre}>{JSON.stringify(seen.context, null, 2)}</pre>
            </div>
          </Stack>
        )}
      </Stack>
    </form>
  );
}
