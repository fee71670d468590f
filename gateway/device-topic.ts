const PLACEHOLDER = '{deviceId}';
const DEVICE_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const NOT_IN_A_TOPIC = /[#+{}]/;

/** Gives the device of an MQTT topic, or undefined when the topic does not match the template. */
export type TopicMatcher = (mqttTopic: string) => string | undefined;

/** The template names no device, or could be mistaken for a wildcard or a broker's own topic. */
export class TopicTemplateError extends Error {
  readonly code = 'GATEWAY_TOPIC_TEMPLATE';
  readonly retryable = false;
  override readonly name = 'TopicTemplateError';
}

/** Compiles a template such as `devices/{deviceId}/telemetry`. Throws `TopicTemplateError`. */
export function compileTopicTemplate(template: string): TopicMatcher {
  const [prefix = '', suffix, ...more] = template.split(PLACEHOLDER);
  if (suffix === undefined || more.length > 0) {
    throw new TopicTemplateError(`${JSON.stringify(template)} does not contain ${PLACEHOLDER} exactly once`);
  }
  if (NOT_IN_A_TOPIC.test(prefix + suffix) || template.startsWith('$')) {
    throw new TopicTemplateError(
      `${JSON.stringify(template)} contains a wildcard or brace, or starts with "$"`,
    );
  }
  const outside = prefix.length + suffix.length;
  return (mqttTopic) => {
    if (mqttTopic.length <= outside || !mqttTopic.startsWith(prefix) || !mqttTopic.endsWith(suffix)) {
      return undefined;
    }
    const deviceId = mqttTopic.slice(prefix.length, mqttTopic.length - suffix.length);
    return DEVICE_ID.test(deviceId) ? deviceId : undefined;
  };
}
