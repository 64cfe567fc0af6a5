import { ActionIcon, Button, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { IconLanguage, IconMoon, IconSun } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { setLanguage } from '../i18n';

export function LanguageSwitch() {
  const { t, i18n } = useTranslation();
  const queries = useQueryClient();
  const other = i18n.language === 'fr' ? 'en' : 'fr';
  // Sentences of the server come anew in the other language.
  const change = () => void setLanguage(other).then(() => queries.invalidateQueries());
  return (
    <Button variant="subtle" color="gray" size="compact-md" leftSection={<IconLanguage size={18} />} onClick={change} lang={other} aria-label={t('common.switchLanguage')}>
      {other === 'en' ? 'English' : 'Français'}
    </Button>
  );
}

export function SchemeSwitch() {
  const { t } = useTranslation();
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light');
  const label = scheme === 'dark' ? t('common.lightScheme') : t('common.darkScheme');
  return (
    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={label} title={label} onClick={() => setColorScheme(scheme === 'dark' ? 'light' : 'dark')}>
      {scheme === 'dark' ? <IconSun size={18} /> : <IconMoon size={18} />}
    </ActionIcon>
  );
}
