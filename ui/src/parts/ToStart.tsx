// The next step of a house where nothing has happened yet, for whoever may take it.
import { Button } from '@mantine/core';
import { IconRocket } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { useSession } from '../api/session';

export function ToStart() {
  const { t } = useTranslation();
  const { may } = useSession();
  if (!may('admin')) return null;
  return (
    <Button component={Link} to="/start" mt="sm" leftSection={<IconRocket size={16} />}>
      {t('common.nav.start')}
    </Button>
  );
}
