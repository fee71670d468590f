import { createClientLinks } from './client-link.ts';
import { describeDeviceLink } from './device-link.contract.ts';
import { createRawLinks } from './raw-link.ts';

describeDeviceLink('raw', createRawLinks);
describeDeviceLink('client', createClientLinks);
