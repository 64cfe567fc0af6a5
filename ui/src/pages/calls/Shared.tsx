// A call as a link shows it: for somebody without an account, read only. The token stands behind `#`: no server log has it.
import { Alert, Badge, Box, Card, Center, Grid, Group, Stack, Text, Title } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { commonHeaders, PLATFORM } from '../../api/client';
import { dateTime, duration, fullDateTime } from '../../parts/format';
import { ErrorNote, Loading } from '../../parts/Page';
import { Brand } from '../../shell/Brand';
import { LanguageSwitch, SchemeSwitch } from '../../shell/Switches';
import { Events, Transcript } from './CallPage';
import type { Player } from './Sound';
import type { Explanation, SpokenLine } from './types';

const Sound = lazy(() => import('./Sound').then((module) => ({ default: module.Sound })));

interface SharedCall {
  direction: string;
  from: string;
  to: string;
  agent: string;
  startedAt: string;
  endedAt?: string | null;
  durationSec?: number | null;
  outcome?: string | null;
  explanation: Explanation;
  transcript: SpokenLine[];
  hasSound: boolean;
  expiresAt?: string | null;
}

export function Shared() {
  const { t, i18n } = useTranslation();
  const [token, setToken] = useState(() => window.location.hash.slice(1));
  const [at, setAt] = useState(0);
  const player = useRef<Player | null>(null);
  useEffect(() => {
    const changed = () => setToken(window.location.hash.slice(1));
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, []);
  const headers = useMemo(() => ({ ...commonHeaders('GET'), 'X-Share-Token': token, 'Accept-Language': i18n.language }), [token, i18n.language]);
  const call = useQuery({
    queryKey: ['shared', token, i18n.language],
    retry: false,
    refetchOnWindowFocus: false,
    staleTime: Infinity,
    queryFn: async () => {
      const response = await fetch(`${PLATFORM}/api/shared`, { headers, credentials: 'omit' });
      const answer: unknown = await response.json();
      if (!response.ok) throw answer;
      return answer as SharedCall;
    },
  });
  const shown = call.data;
  useEffect(() => {
    document.title = `${t('calls.share.title')} · allo`;
  }, [t]);
  const offset = shown?.explanation.timings.invite_to_answer_ms ?? 0;
  const seek = (ms: number) => {
    setAt(ms);
    player.current?.seek(Math.max(0, ms - offset));
  };
  const verdict = shown?.explanation.verdict;
  const tone = { info: 'allo', warning: 'orange', error: 'red' }[verdict?.severity ?? 'info'] ?? 'allo';
  return (
    <Box component="main" id="main" maw={1200} mx="auto" p="md">
      <Group justify="space-between" mb="lg">
        <Brand />
        <Group gap={4}>
          <LanguageSwitch />
          <SchemeSwitch />
        </Group>
      </Group>
      <Title order={1} mb={4}>
        {t('calls.share.title')}
      </Title>
      {call.error ? (
        <ErrorNote error={call.error} />
      ) : !shown || !verdict ? (
        <Center>
          <Loading />
        </Center>
      ) : (
        <Stack>
          <Text c="dimmed" size="sm" component="div">
            <Group gap={6}>
              <time dateTime={shown.startedAt}>{fullDateTime(shown.startedAt)}</time>
              <span>·</span>
              <span>{duration(shown.durationSec ?? 0)}</span>
              <span>·</span>
              <span>
                {shown.from} → {shown.agent || shown.to}
              </span>
              <Badge color="gray">{t('calls.share.good', { when: dateTime(shown.expiresAt ?? '') })}</Badge>
            </Group>
          </Text>
          <Alert color={tone} icon={tone === 'allo' ? <IconCircleCheck /> : <IconAlertTriangle />} title={<Text fw={650} size="lg" component="span">{verdict.text}</Text>} data-verdict={verdict.code}>
            <Stack gap={6}>
              {shown.explanation.why.map((one) => (
                <Text size="sm" key={one.code + one.text}>
                  {one.text}
                </Text>
              ))}
              {verdict.remedy && <Text size="sm">{verdict.remedy}</Text>}
            </Stack>
          </Alert>
          {shown.hasSound && (
            <Suspense fallback={<Loading />}>
              <Sound url={`${PLATFORM}/api/shared/recording.wav`} headers={headers} offsetMs={offset} explanation={shown.explanation} onTime={setAt} player={player} onSeek={seek} lines={shown.transcript} />
            </Suspense>
          )}
          <Grid gap="md">
            <Grid.Col span={{ base: 12, md: 6 }}>
              <Card withBorder radius="md" padding="sm">
                <Text component="h2" fw={650} size="md" mb="xs">
                  {t('calls.call.transcript')}
                </Text>
                <Transcript lines={shown.transcript} at={at} seek={seek} />
              </Card>
            </Grid.Col>
            <Grid.Col span={{ base: 12, md: 6 }}>
              <Card withBorder radius="md" padding="sm">
                <Text component="h2" fw={650} size="md" mb="xs">
                  {t('calls.call.events')}
                </Text>
                <Events explanation={shown.explanation} at={at} seek={seek} />
              </Card>
            </Grid.Col>
          </Grid>
        </Stack>
      )}
    </Box>
  );
}
