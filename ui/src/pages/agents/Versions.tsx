// The versions of an agent, what changed between two of them, and the way back.
import { Button, Group, Radio, SimpleGrid, Stack, Text } from '@mantine/core';
import { IconHistory } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi } from '../../api/client';
import { confirmed, useAction } from '../../parts/actions';
import { dateTime } from '../../parts/format';
import { Answered, Empty } from '../../parts/Page';
import classes from '../calls/Calls.module.css';
import type { Agent } from './types';

interface Version {
  version: number;
  at: string;
  author: string;
  note: string;
}

const pretty = (value: unknown) => (value === undefined || value === null ? '–' : typeof value === 'string' ? value : JSON.stringify(value, null, 2));

export function Versions({ agent, readOnly }: { agent: Agent; readOnly: boolean }) {
  const { t } = useTranslation();
  const list = useApi('/api/agents/{id}/versions', { path: { id: agent.id }, query: { limit: 100 } });
  const versions = list.data as unknown as Version[] | undefined;
  const [chosen, setChosen] = useState<number | null>(null);
  const shown = chosen ?? versions?.find((one) => one.version < agent.version)?.version;
  const back = useAction((version: number) => ask('POST', `/api/agents/${agent.id}/rollback`, { version }), {
    stale: [['/api/agents/{id}'], ['/api/agents/{id}/versions'], ['/api/agents']],
    done: (_, version) => t('agents.versions.back', { version }),
  });
  return (
    <Answered query={{ ...list, data: versions }} empty={<Empty icon={IconHistory} title={t('agents.versions.empty')} />}>
      {(all) => (
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <Radio.Group label={t('agents.versions.compare', { version: agent.version })} value={shown ? String(shown) : ''} onChange={(value) => setChosen(Number(value))}>
            <Stack gap={6} mt="xs" mah={520} style={{ overflowY: 'auto' }}>
              {all.map((one) => (
                <Radio key={one.version} value={String(one.version)} label={t('agents.editor.versionOf', { version: one.version })} description={`${dateTime(one.at)} · ${one.author}${one.note ? ` · ${one.note}` : ''}`} />
              ))}
            </Stack>
          </Radio.Group>
          <Stack>
            {shown !== undefined && <Diff agent={agent} from={shown} />}
            {!readOnly && shown !== undefined && shown !== agent.version && (
              <Group>
                <Button
                  variant="default"
                  loading={back.isPending}
                  onClick={() => confirmed({ title: t('agents.versions.restore', { version: shown }), text: t('agents.versions.restoreText', { version: shown }), confirm: t('agents.versions.restore', { version: shown }), cancel: t('common.cancel'), onConfirm: () => back.mutate(shown) })}
                >
                  {t('agents.versions.restore', { version: shown })}
                </Button>
              </Group>
            )}
          </Stack>
        </SimpleGrid>
      )}
    </Answered>
  );
}

function Diff({ agent, from }: { agent: Agent; from: number }) {
  const { t } = useTranslation();
  const diff = useApi('/api/agents/{id}/versions/{version}/diff', { path: { id: agent.id, version: from }, query: { to: agent.version } } as never);
  const rows = diff.data as unknown as { path: string; before?: unknown; after?: unknown }[] | undefined;
  return (
    <Answered query={{ ...diff, data: rows }} empty={<Empty title={t('agents.versions.same')} />}>
      {(all) => (
        <Stack gap="sm">
          {all.map((one) => (
            <div key={one.path}>
              <Text size="sm" fw={600} ff="monospace">
                {one.path}
              </Text>
              <SimpleGrid cols={2} spacing="xs">
                <pre className={`${classes.pre} diff-before`} tabIndex={0} role="region" aria-label={t('agents.versions.before')}>{pretty(one.before)}</pre>
                <pre className={`${classes.pre} diff-after`} tabIndex={0} role="region" aria-label={t('agents.versions.after')}>{pretty(one.after)}</pre>
              </SimpleGrid>
            </div>
          ))}
        </Stack>
      )}
    </Answered>
  );
}
