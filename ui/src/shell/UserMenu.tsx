import { Box, Menu } from '@mantine/core';
import { IconHelpCircle, IconLogout } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useSession } from '../api/session';
import { LanguageSwitch } from './Switches';
import { UserButton } from './UserButton';

/** `opened`: it was pressed before it was here. */
export function UserMenu({ opened, openKeys }: { opened: boolean; openKeys: () => void }) {
  const { t } = useTranslation();
  const { me, logout } = useSession();
  return (
    <Menu position="bottom-end" width={240} defaultOpened={opened}>
      <Menu.Target>
        <UserButton />
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {me.name} · {t(`common.roles.${me.role}`)}
        </Menu.Label>
        <Menu.Item leftSection={<IconHelpCircle size={16} />} onClick={openKeys}>
          {t('common.keys.title')}
        </Menu.Item>
        <Box hiddenFrom="sm" px="xs">
          <LanguageSwitch />
        </Box>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void logout()}>
          {t('common.logout')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
