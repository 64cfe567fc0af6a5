import { Group, Kbd, Stack, Switch, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { NavGroup } from './nav';
import { SINGLE_KEYS, singleKeysOn } from './singleKeys';

export function Keys({ menu }: { menu: NavGroup[] }) {
  const { t } = useTranslation();
  const [on, setOn] = useState(singleKeysOn);
  const change = (next: boolean) => {
    localStorage.setItem(SINGLE_KEYS, next ? 'on' : 'off');
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
