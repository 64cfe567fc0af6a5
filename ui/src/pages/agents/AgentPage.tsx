// One agent: its settings on the left, a conversation with it on the right.
import { Alert, Badge, Box, Button, Card, Grid, Group, SegmentedControl, Tabs, Text } from '@mantine/core';
import { IconArrowLeft, IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, client } from '../../api/client';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { dateTime } from '../../parts/format';
import { ErrorNote, Loading, Page } from '../../parts/Page';
import { StateBadge } from '../../parts/StateBadge';
import { useUrlState } from '../../parts/useUrlState';
import { Settings } from './Settings';
import type { Agent } from './types';

const Chat = lazy(() => import('./Chat').then((module) => ({ default: module.Chat })));
const Lines = lazy(() => import('./Lines').then((module) => ({ default: module.Lines })));
const Tools = lazy(() => import('./Tools').then((module) => ({ default: module.Tools })));
const Voice = lazy(() => import('./Voice').then((module) => ({ default: module.Voice })));
const Versions = lazy(() => import('./Versions').then((module) => ({ default: module.Versions })));

export function AgentPage() {
  const { t } = useTranslation();
  const { agentId } = useParams({ strict: false }) as { agentId: string };
  const { may } = useSession();
  const [tab, setTab] = useUrlState('tab', 'prompt');
  const [how, setHow] = useUrlState('try', 'voice');
  // With the entity tag of what was read: a change names it, so that somebody else's is not overwritten.
  const found = useQuery({
    queryKey: ['/api/agents/{id}', { path: { id: agentId } }],
    queryFn: async () => {
      const { data, error, response } = await client.GET('/api/agents/{id}', { params: { path: { id: agentId } } });
      if (error) throw error;
      return { ...(data as unknown as Agent), etag: response.headers.get('ETag') ?? undefined };
    },
  });
  const stale = [['/api/agents/{id}', { path: { id: agentId } }], ['/api/agents']];
  const pause = useAction((on: boolean) => ask('POST', `/api/agents/${agentId}/${on ? 'pause' : 'resume'}`, on ? {} : undefined), { stale });
  if (found.error && !found.data) return <Page title={t('agents.list.title')}><ErrorNote error={found.error} retry={() => void found.refetch()} /></Page>;
  if (!found.data) return <Loading />;
  const agent: Agent = found.data;
  const mayWrite = may('admin');
  return (
    <Page
      wide
      title={agent.name}
      intro={
        <Group gap="xs" component="span">
          <StateBadge tone={agent.isActive ? 'good' : 'pause'}>{agent.isActive ? t('agents.list.active') : t('agents.list.isPaused')}</StateBadge>
          <Badge color="gray">{t('agents.editor.versionOf', { version: agent.version })}</Badge>
          <Text span size="sm">{t('agents.editor.changed', { when: dateTime(agent.updatedAt) })}</Text>
        </Group>
      }
      actions={
        <>
          <Button component={Link} to="/agents" variant="default" leftSection={<IconArrowLeft size={16} />}>
            {t('agents.list.title')}
          </Button>
          {may('operator') && (
            <Button variant="default" leftSection={agent.isActive ? <IconPlayerPause size={16} /> : <IconPlayerPlay size={16} />} loading={pause.isPending} onClick={() => pause.mutate(agent.isActive)}>
              {agent.isActive ? t('agents.list.pause') : t('agents.list.resume')}
            </Button>
          )}
        </>
      }
    >
      <Grid gap="lg">
        <Grid.Col span={{ base: 12, lg: 8 }}>
          <Card withBorder radius="md" padding="md">
            <Tabs value={tab} onChange={(value) => setTab(value ?? 'prompt')} keepMounted={false}>
              <Tabs.List mb="md">
                {(['prompt', 'voice', 'tools', 'transfer', 'limits', 'lines', 'chat', 'versions', 'more'] as const).map((one) => (
                  <Tabs.Tab key={one} value={one}>
                    {t(`agents.tabs.${one}`)}
                  </Tabs.Tab>
                ))}
              </Tabs.List>
              {!mayWrite && (
                <Alert color="gray" mb="md">
                  {t('agents.editor.readOnly')}
                </Alert>
              )}
              <Suspense fallback={<Loading />}>
                {(['prompt', 'voice', 'transfer', 'limits', 'chat', 'more'] as const).map((one) => (
                  <Tabs.Panel key={one} value={one}>
                    <Settings key={`${agent.id}-${one}`} agent={agent} section={one} readOnly={!mayWrite} />
                  </Tabs.Panel>
                ))}
                <Tabs.Panel value="tools">
                  <Tools agent={agent} readOnly={!mayWrite} />
                </Tabs.Panel>
                <Tabs.Panel value="lines">
                  <Lines agent={agent} readOnly={!mayWrite} />
                </Tabs.Panel>
                <Tabs.Panel value="versions">
                  <Versions agent={agent} readOnly={!mayWrite} />
                </Tabs.Panel>
              </Suspense>
            </Tabs>
          </Card>
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 4 }}>
          <Box pos="sticky" top={72}>
            <Card withBorder radius="md" padding="md" component="section" aria-label={t('agents.try')}>
              <Group justify="space-between" mb="sm">
                <Text component="h2" fw={650}>
                  {t('agents.try')}
                </Text>
                <SegmentedControl size="xs" value={how} onChange={setHow} aria-label={t('agents.try')} data={[{ value: 'voice', label: t('agents.byVoice') }, { value: 'chat', label: t('agents.inWriting') }]} />
              </Group>
              <Suspense fallback={<Loading />}>{how === 'voice' ? <Voice agent={agent} /> : <Chat agent={agent} />}</Suspense>
            </Card>
          </Box>
        </Grid.Col>
      </Grid>
    </Page>
  );
}
