import '@mantine/notifications/styles.css';
import '@mantine/spotlight/styles.css';

import { modals, ModalsProvider } from '@mantine/modals';
import { Notifications, notifications } from '@mantine/notifications';
import { spotlight } from '@mantine/spotlight';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Keys } from './Keys';
import type { NavGroup } from './nav';
import { theyStand } from './overlays';
import { Palette } from './Palette';

export { modals, notifications, spotlight };

/** Those of whoever is logged in. */
export function Overlays({ menu }: { menu: NavGroup[] }) {
  const { t } = useTranslation();
  useEffect(() => theyStand({ Overlays, openKeys, modals, notifications, spotlight }), []);
  return (
    <>
      <Notifications position="top-right" />
      <ModalsProvider modalProps={{ closeButtonProps: { 'aria-label': t('common.close') } }}>
        <Help menu={menu} />
      </ModalsProvider>
      <Palette menu={menu} />
    </>
  );
}

let help: (() => void) | null = null;
/** The list of keys. */
export function openKeys() {
  help?.();
}

function Help({ menu }: { menu: NavGroup[] }) {
  const { t } = useTranslation();
  useEffect(() => {
    help = () => modals.open({ title: t('common.keys.title'), children: <Keys menu={menu} /> });
    return () => {
      help = null;
    };
  }, [menu, t]);
  return null;
}
