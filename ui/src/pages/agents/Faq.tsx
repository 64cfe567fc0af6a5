// The questions that agents could not answer: each answered once is known by the next caller.
import { Badge, Button, Card, Group, SegmentedControl, Stack, Text, Textarea } from '@mantine/core';
import { IconMessageQuestion, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi, WHOLE } from '../../api/client';
import { useAgentNames } from '../../api/names';
import { useSession } from '../../api/session';
import { IconButton, useAction } from '../../parts/actions';
import { dateTime } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { useUrlState } from '../../parts/useUrlState';

interface Entry {
  id: string;
  agentId: string;
  question: string;
  answer?: string | null;
  category: string;
  status: string;
  askCount: number;
  updatedAt: string;
}

export function Faq() {
  const { t } = useTranslation();
  const { may, accountId } = useSession();
  const [status, setStatus] = useUrlState('status', 'pending');
  const agentName = useAgentNames();
  const list = useApi('/api/faqs', { query: { accountId, status: status === 'all' ? undefined : status, limit: WHOLE } });
  const stale = [['/api/faqs']];
  const answer = useAction(({ id, text }: { id: string; text: string }) => ask('POST', `/api/faqs/${id}/answer`, { answer: text }), { stale, done: t('agents.faq.answered') });
  const ignore = useAction((id: string) => ask('PUT', `/api/faqs/${id}`, { status: 'ignored' }), { stale, done: t('agents.faq.ignoredOne') });
  const remove = useAction((id: string) => ask('DELETE', `/api/faqs/${id}`), { stale, done: t('agents.faq.removed') });
  return (
    <Page title={t('agents.faq.title')} intro={t('agents.faq.intro')}>
      <SegmentedControl
        mb="md"
        value={status}
        onChange={setStatus}
        aria-label={t('agents.faq.which')}
        data={(['pending', 'answered', 'ignored', 'all'] as const).map((value) => ({ value, label: t(`agents.faq.status.${value}`) }))}
      />
      <Answered query={list} empty={<Empty icon={IconMessageQuestion} title={status === 'pending' ? t('agents.faq.empty') : t('common.nothingFound')}>{status === 'pending' ? t('agents.faq.emptyHint') : ''}</Empty>}>
        {(all) => (
          <Stack>
            {[...all]
              .sort((a, b) => b.askCount - a.askCount)
              .map((entry) => (
                <Question
                  key={entry.id}
                  entry={entry}
                  agent={agentName(entry.agentId)}
                  mayWrite={may('operator')}
                  busy={answer.isPending}
                  answer={(text) => answer.mutate({ id: entry.id, text })}
                  ignore={() => ignore.mutate(entry.id)}
                  remove={() => remove.mutate(entry.id)}
                />
              ))}
          </Stack>
        )}
      </Answered>
    </Page>
  );
}

function Question({ entry, agent, mayWrite, busy, answer, ignore, remove }: { entry: Entry; agent: string; mayWrite: boolean; busy: boolean; answer: (text: string) => void; ignore: () => void; remove: () => void }) {
  const { t } = useTranslation();
  const [text, setText] = useState(entry.answer ?? '');
  return (
    <Card withBorder radius="md" padding="md">
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <div>
          <Text fw={600}>{entry.question}</Text>
          <Group gap={6} mt={2}>
            <Badge color={entry.askCount > 1 ? 'orange' : 'gray'}>{t('agents.faq.asked', { count: entry.askCount })}</Badge>
            <Badge color="gray">{agent}</Badge>
            <Text size="xs" c="dimmed">
              {dateTime(entry.updatedAt)}
            </Text>
          </Group>
        </div>
        {mayWrite && <IconButton label={t('common.removeOne', { name: entry.question })} icon={IconTrash} onClick={remove} />}
      </Group>
      {mayWrite ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            answer(text.trim());
          }}
        >
          <Textarea mt="sm" aria-label={t('agents.faq.answerTo', { question: entry.question })} placeholder={t('agents.faq.answerHint')} autosize minRows={1} value={text} onChange={(event) => setText(event.currentTarget.value)} />
          <Group mt="xs" gap="xs">
            <Button type="submit" size="xs" loading={busy} disabled={!text.trim() || text.trim() === entry.answer}>
              {t('agents.faq.answer')}
            </Button>
            {entry.status === 'pending' && (
              <Button size="xs" variant="subtle" color="gray" onClick={ignore}>
                {t('agents.faq.ignore')}
              </Button>
            )}
          </Group>
        </form>
      ) : (
        <Text size="sm" mt="xs">
          {entry.answer ?? t('agents.faq.noAnswer')}
        </Text>
      )}
    </Card>
  );
}
