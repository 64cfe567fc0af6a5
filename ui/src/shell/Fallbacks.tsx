import { Button, Center, Stack } from '@mantine/core';
import { IconError404 } from '@tabler/icons-react';
import { Link, type ErrorComponentProps } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { Empty, ErrorNote } from '../parts/Page';

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Empty
      title={t('common.notFound')}
      icon={IconError404}
      action={
        <Button component={Link} to="/live" mt="sm">
          {t('common.home')}
        </Button>
      }
    />
  );
}

export function Crashed({ error }: ErrorComponentProps) {
  const { t } = useTranslation();
  return (
    <Center p="xl">
      <Stack maw={560}>
        <ErrorNote error={{ status: 0, code: '', title: t('common.crashed'), remedy: error instanceof Error ? error.message : undefined }} retry={() => window.location.reload()} />
      </Stack>
    </Center>
  );
}
