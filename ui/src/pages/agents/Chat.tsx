// A conversation in writing with the agent that answers the telephone: same prompt, tools and rules.
import { Badge, Box, Button, Code, Group, ScrollArea, Stack, Text, TextInput } from '@mantine/core';
import { IconMessageCircle, IconRefresh, IconSend } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, commonHeaders, PLATFORM, problemOf } from '../../api/client';
import { useSession } from '../../api/session';
import { ErrorNote } from '../../parts/Page';
import classes from '../calls/Calls.module.css';
import type { Agent } from './types';

interface Line {
  role: 'user' | 'assistant' | 'tool';
  content: string;
  state?: string;
}

/** Server-sent events of an answered POST, one after the other. */
async function* events(response: Response): AsyncGenerator<{ kind: string; data: Record<string, unknown> }> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end = rest.indexOf('\n\n');
    while (end >= 0) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      const kind = /^event: ?(.*)$/m.exec(block)?.[1] ?? 'message';
      const data = [...block.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1]).join('\n');
      if (data) yield { kind, data: JSON.parse(data) as Record<string, unknown> };
      end = rest.indexOf('\n\n');
    }
  }
}

export function Chat({ agent }: { agent: Agent }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const [session, setSession] = useState<string | null>(null);
  const [lines, setLines] = useState<Line[]>([]);
  const [partial, setPartial] = useState('');
  const [text, setText] = useState('');
  const [phone, setPhone] = useState('+33612345678');
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (lines.length > 0) end.current?.scrollIntoView({ block: 'nearest' });
  }, [lines.length, partial]);

  async function begin() {
    setFailed(null);
    setBusy(true);
    try {
      const made = await ask<{ id: string; messages: { role: 'user' | 'assistant'; content: string }[] }>('POST', '/api/chat/sessions', { agentId: agent.id, visitor: { phone: phone || undefined } });
      setSession(made.id);
      setOver(false);
      setLines(made.messages.map(({ role, content }) => ({ role, content })));
    } catch (error) {
      setFailed(error);
    }
    setBusy(false);
  }

  async function say(said: string) {
    if (!session) return;
    setBusy(true);
    setFailed(null);
    setText('');
    setLines((old) => [...old, { role: 'user', content: said }]);
    try {
      const response = await fetch(`${PLATFORM}/api/chat/sessions/${session}/messages`, {
        method: 'POST',
        credentials: 'same-origin',
        headers: { ...commonHeaders('POST'), 'Content-Type': 'application/json', Accept: 'text/event-stream' },
        body: JSON.stringify({ text: said }),
      });
      if (!response.ok) throw await response.json();
      for await (const { kind, data } of events(response)) {
        if (kind === 'delta') setPartial((old) => old + String(data.text ?? ''));
        else if (kind === 'message' && data.role === 'assistant') {
          setPartial('');
          setLines((old) => [...old, { role: 'assistant', content: String(data.content) }]);
        } else if (kind === 'tool' && data.state !== 'started') setLines((old) => [...old, { role: 'tool', content: String(data.name), state: String(data.state) }]);
        else if (kind === 'ended') setOver(true);
        else if (kind === 'error') setFailed({ status: 0, code: String(data.code), title: String(data.message) });
      }
    } catch (error) {
      setFailed(error);
    }
    setPartial('');
    setBusy(false);
  }

  async function finish() {
    if (session && !over) await ask('POST', `/api/chat/sessions/${session}/end`).catch(() => undefined);
    setSession(null);
    setLines([]);
    setPartial('');
    setOver(false);
  }

  return (
    <>
      {session && (
        <Group justify="flex-end" mb="xs">
          <Button size="compact-sm" variant="subtle" leftSection={<IconRefresh size={14} />} onClick={() => void finish()}>
            {t('agents.chat.again')}
          </Button>
        </Group>
      )}
      {failed ? <ErrorNote error={failed} title={problemOf(failed).title ? undefined : t('common.failed')} /> : null}
      {!session ? (
        <Stack>
          <Text size="sm" c="dimmed">
            {t('agents.chat.intro')}
          </Text>
          {may('operator') ? (
            <>
              <TextInput label={t('agents.chat.phone')} value={phone} onChange={(event) => setPhone(event.currentTarget.value)} inputMode="tel" />
              <Button leftSection={<IconMessageCircle size={16} />} loading={busy} onClick={() => void begin()}>
                {t('agents.chat.begin')}
              </Button>
            </>
          ) : (
            <Text size="sm">{t('agents.chat.notAllowed')}</Text>
          )}
        </Stack>
      ) : (
        <Stack gap="sm">
          <ScrollArea.Autosize mah="52vh" mih={200} type="auto" viewportProps={{ tabIndex: 0, 'aria-label': t('agents.chat.title') }}>
            <Stack gap="xs" role="log" aria-live="polite">
              {lines.map((line, index) =>
                line.role === 'tool' ? (
                  <Group key={index} gap={6}>
                    <Code>{line.content}</Code>
                    <Badge color={line.state === 'ok' ? 'allo' : 'orange'}>{t(`agents.chat.tool.${line.state}` as 'agents.chat.tool.ok', { defaultValue: line.state })}</Badge>
                  </Group>
                ) : (
                  <div key={index} className={line.role === 'user' ? classes.agent : classes.caller}>
                    <Text size="sm">{line.content}</Text>
                  </div>
                ),
              )}
              {partial && (
                <div className={classes.caller}>
                  <Text size="sm">{partial}…</Text>
                </div>
              )}
              <div ref={end} />
            </Stack>
          </ScrollArea.Autosize>
          {over ? (
            <Text size="sm" c="dimmed">
              {t('agents.chat.over')}
            </Text>
          ) : (
            <form
              onSubmit={(event) => {
                event.preventDefault();
                if (text.trim() && !busy) void say(text.trim());
              }}
            >
              <Group wrap="nowrap" gap="xs">
                <Box flex={1}>
                  <TextInput aria-label={t('agents.chat.message')} placeholder={t('agents.chat.message')} value={text} onChange={(event) => setText(event.currentTarget.value)} maxLength={4000} />
                </Box>
                <Button type="submit" loading={busy} disabled={!text.trim()} leftSection={<IconSend size={16} />}>
                  {t('agents.chat.send')}
                </Button>
              </Group>
            </form>
          )}
        </Stack>
      )}
    </>
  );
}
