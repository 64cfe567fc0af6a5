import { Alert, Box, Button, Center, Code, Group, List, Loader, Stack, Text, ThemeIcon, Title } from '@mantine/core';
import { IconAlertTriangle, IconInbox, type Icon } from '@tabler/icons-react';
import { useEffect, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { problemOf } from '../api/client';

/** Title, one sentence, and the one primary action of a page. */
export function Page({ title, intro, actions, children, wide, nested }: { title: string; intro?: ReactNode; actions?: ReactNode; children: ReactNode; wide?: boolean; nested?: boolean }) {
  useEffect(() => {
    if (!nested) document.title = `${title} · allo`;
  }, [title, nested]);
  return (
    <Box maw={wide ? undefined : 1280} mx="auto" mb={nested ? 'xl' : undefined}>
      <Group justify="space-between" align="flex-start" mb="lg" gap="md" className="page-head">
        <Box maw={720} miw={0}>
          <Title order={nested ? 2 : 1}>{title}</Title>
          {intro && (
            <Text c="dimmed" size="sm" mt={4}>
              {intro}
            </Text>
          )}
        </Box>
        {actions && (
          <Group gap="xs" className="page-actions">
            {actions}
          </Group>
        )}
      </Group>
      {children}
    </Box>
  );
}

/** Fact, cause, action; the code in small print. */
export function ErrorNote({ error, retry, title }: { error: unknown; retry?: () => void; title?: string }) {
  const { t } = useTranslation();
  const problem = problemOf(error);
  return (
    <Alert color="red" icon={<IconAlertTriangle />} title={title ?? problem.title} role="alert" mb="md">
      <Stack gap={6}>
        {title && <Text size="sm">{problem.title}</Text>}
        {problem.remedy && <Text size="sm">{problem.remedy}</Text>}
        {problem.errors && problem.errors.length > 0 && (
          <List size="sm">
            {problem.errors.map((fault) => (
              <List.Item key={fault.path + fault.code}>
                <Code>{fault.path}</Code> {fault.detail}
              </List.Item>
            ))}
          </List>
        )}
        <Group gap="sm">
          {retry && (
            <Button size="compact-sm" variant="default" onClick={retry}>
              {t('common.retry')}
            </Button>
          )}
          {problem.code && (
            <Text size="xs" c="dimmed">
              {problem.code}
              {problem.requestId ? ` · ${problem.requestId}` : ''}
            </Text>
          )}
        </Group>
      </Stack>
    </Alert>
  );
}

export function Loading() {
  const { t } = useTranslation();
  return (
    <Center py={64} role="status" aria-label={t('common.loading')}>
      <Loader type="bars" size="sm" />
    </Center>
  );
}

export function Empty({ title, children, action, icon: Shown = IconInbox }: { title: string; children?: ReactNode; action?: ReactNode; icon?: Icon }) {
  return (
    <Center py={56}>
      <Stack align="center" gap="xs" maw={460}>
        <ThemeIcon variant="light" size={48} radius="xl" color="gray">
          <Shown size={24} />
        </ThemeIcon>
        <Text fw={600} ta="center">
          {title}
        </Text>
        {children && (
          <Text size="sm" c="dimmed" ta="center" component="div">
            {children}
          </Text>
        )}
        {action}
      </Stack>
    </Center>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
}

/** Loading, failed, empty, or there: every list and page goes through the same four states. */
export function Answered<T>({ query, empty, isEmpty, children }: { query: Asked<T>; empty?: ReactNode; isEmpty?: (data: T) => boolean; children: (data: T) => ReactNode }) {
  if (query.data === undefined) {
    if (query.error) return <ErrorNote error={query.error} retry={() => void query.refetch()} />;
    return <Loading />;
  }
  const nothing = isEmpty ? isEmpty(query.data) : Array.isArray(query.data) && query.data.length === 0;
  if (nothing && empty) return <>{empty}</>;
  return (
    <>
      {query.error ? <ErrorNote error={query.error} retry={() => void query.refetch()} /> : null}
      {children(query.data)}
    </>
  );
}
