import { Group, Text, UnstyledButton, type UnstyledButtonProps } from '@mantine/core';
import { IconUserCircle } from '@tabler/icons-react';
import type { ComponentPropsWithRef } from 'react';
import { useTranslation } from 'react-i18next';
import { useSession } from '../api/session';

/** Who is logged in; what it opens comes when it is wanted. */
export function UserButton(props: UnstyledButtonProps & ComponentPropsWithRef<'button'>) {
  const { t } = useTranslation();
  const { me } = useSession();
  return (
    <UnstyledButton aria-label={`${me.name} – ${t('common.userMenu')}`} p={6} {...props}>
      <Group gap={6} wrap="nowrap">
        <IconUserCircle size={24} stroke={1.6} />
        <Text size="sm" visibleFrom="lg" maw={160} truncate>
          {me.name}
        </Text>
      </Group>
    </UnstyledButton>
  );
}
