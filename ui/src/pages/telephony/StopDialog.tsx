import { Button, Group, Modal, Radio, Stack } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { VoiceServer } from './Servers';

/** Calls are in progress: what becomes of them. */
export function StopDialog({ rows, close, stop }: { rows: VoiceServer[]; close: () => void; stop: (force: boolean) => void }) {
  const { t } = useTranslation();
  const [how, setHow] = useState('after');
  const calls = rows.reduce((sum, one) => sum + one.activeCalls, 0);
  return (
    <Modal opened onClose={close} title={t('telephony.servers.stopTitle', { count: calls })} closeButtonProps={{ 'aria-label': t('common.close') }}>
      <Stack>
        <Radio.Group value={how} onChange={setHow} label={t('telephony.servers.stopWhat')}>
          <Stack mt="xs" gap="xs">
            <Radio value="after" label={t('telephony.servers.stopAfter')} description={t('telephony.servers.stopAfterHint')} />
            <Radio value="now" label={t('telephony.servers.stopNow')} description={t('telephony.servers.stopNowHint')} />
          </Stack>
        </Radio.Group>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            {t('common.cancel')}
          </Button>
          <Button
            color={how === 'now' ? 'red' : undefined}
            onClick={() => {
              stop(how === 'now');
              close();
            }}
          >
            {t('telephony.servers.stop')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
