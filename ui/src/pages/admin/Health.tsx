// Whether the house is well: the process, readiness, registrations, what is waiting.
import { Card, SimpleGrid, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { ask, PLATFORM, useApi } from '../../api/client';
import { useSession } from '../../api/session';
import { DataTable } from '../../parts/DataTable';
import { duration, number } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { StateBadge, type Tone } from '../../parts/StateBadge';

interface Health {
  status: string;
  version: string;
  uptimeSeconds: number;
  activeCalls: number;
  draining: boolean;
}

const TONE: Record<string, Tone> = { registered: 'good', registering: 'wait', failed: 'bad' };

export function HealthPage() {
  const { t } = useTranslation();
  const { isNode } = useSession();
  const health = useQuery({ queryKey: ['health'], queryFn: () => ask<Health>('GET', `${PLATFORM}/health`), refetchInterval: 10_000 });
  const ready = useQuery({
    queryKey: ['ready'],
    queryFn: async () => (await fetch(`${PLATFORM}/ready`)).ok,
    refetchInterval: 10_000,
  });
  const registrations = useApi('/api/registrations', {}, { enabled: isNode, refetchInterval: 10_000 });
  return (
    <Page wide title={t('admin.health.title')} intro={t('admin.health.intro')}>
      <Stack gap="lg">
        <Answered query={health}>
          {(found) => (
            <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }}>
              <Fact label={t('admin.health.process')}>
                <StateBadge tone={found.status === 'ok' ? 'good' : 'warn'}>{found.status === 'ok' ? t('admin.health.well') : found.status}</StateBadge>
              </Fact>
              <Fact label={t('admin.health.ready')}>
                <StateBadge tone={ready.data ? 'good' : 'warn'}>{found.draining ? t('admin.health.draining') : ready.data ? t('admin.health.takes') : t('admin.health.refuses')}</StateBadge>
              </Fact>
              <Fact label={t('admin.health.calls')}>{number(found.activeCalls)}</Fact>
              <Fact label={t('admin.health.uptime')}>{duration(found.uptimeSeconds)}</Fact>
              <Fact label={t('admin.health.version')}>{found.version}</Fact>
            </SimpleGrid>
          )}
        </Answered>
        {isNode && (
          <div>
            <Text component="h2" fw={650} size="lg" mb="xs">
              {t('admin.health.registrations')}
            </Text>
            <Answered query={registrations} empty={<Empty title={t('admin.health.noRegistrations')} />}>
              {(all) => (
                <DataTable
                  rows={all}
                  rowId={(one) => one.line}
                  label={t('admin.health.registrations')}
                  columns={[
                    { id: 'aor', header: t('telephony.sip.label'), title: true, sort: (one) => one.aor, cell: (one) => <Text size="sm" ff="monospace">{one.aor}</Text> },
                    { id: 'line', header: t('calls.history.line'), sort: (one) => one.line, cell: (one) => one.line },
                    { id: 'state', header: t('admin.state'), sort: (one) => one.state, cell: (one) => <StateBadge tone={TONE[one.state] ?? 'off'}>{t(`telephony.registration.${one.state}` as 'telephony.registration.registered', { defaultValue: one.state })}</StateBadge> },
                  ]}
                />
              )}
            </Answered>
          </div>
        )}
      </Stack>
    </Page>
  );
}

function Fact({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <Card withBorder radius="md" padding="md">
      <Text size="sm" c="dimmed">
        {label}
      </Text>
      <Text fw={700} size="xl" component="div">
        {children}
      </Text>
    </Card>
  );
}
