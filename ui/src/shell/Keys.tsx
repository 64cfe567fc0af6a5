import { Group, Kbd, Stack, Switch, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { NavGroup } from './nav';

const KEY = 'allo.singleKeys';

/** Single keys can be switched off (WCAG 2.1.4): for those who dictate, and for those who type with a hand on the keyboard. */
export function singleKeysOn(): boolean {
  try {
    return localStorage.getItem(KEY) !== 'off';
  } catch {
    return true;
  }
}

export function Keys({ menu }: { menu: NavGroup[] }) {
  const { t } = useTranslation();
  const [on, setOn] = useState(singleKeysOn);
  const change = (next: boolean) => {
    localStorage.setItem(KEY, next ? 'on' : 'off');
    setOn(next);
  };
  return (
    <Stack gap="xs">
      <Switch label={t('common.keys.single')} description={t('common.keys.singleHint')} checked={on} onChange={(event) => change(event.currentTarget.checked)} />
      <Line keys={['Ctrl', 'K']} text={t('common.keys.search')} />
      <Line keys={['?']} text={t('common.keys.help')} />
      <Line keys={['/']} text={t('common.keys.filter')} />
      {menu.flatMap((group) =>
        group.items.filter((item) => item.letter).map((item) => <Line key={item.to} keys={['g', item.letter ?? '']} text={t(`common.nav.${item.key}` as 'common.nav.live')} />),
      )}
    </Stack>
  );
}

function Line({ keys, text }: { keys: string[]; text: string }) {
  return (
    <Group justify="space-between">
      <Text size="sm">{text}</Text>
      <Group gap={4}>
        {keys.map((key) => (
          <Kbd key={key}>{key}</Kbd>
        ))}
      </Group>
    </Group>
  );
}
