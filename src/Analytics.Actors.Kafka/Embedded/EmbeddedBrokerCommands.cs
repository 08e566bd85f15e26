using System.Globalization;

namespace Analytics.Actors.Kafka.Embedded;

/// <summary>The commands that <c>analytics broker</c> reads from standard input: one a line, one answer each.</summary>
public static class EmbeddedBrokerCommands
{
    private const string Commands = "down N, up N, rtt N MS, errors API CODE..., topic NAME PARTITIONS";

    /// <summary>
    /// Carries out one line and writes one line: what was done, or <c>error:</c> with what would be right. Empty lines
    /// are passed over. True where it was carried out (or empty).
    /// </summary>
    public static bool Execute(EmbeddedBroker broker, string line, TextWriter answers)
    {
        var words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0) return true;
        try
        {
            answers.WriteLine(Execute(broker, words));
            return true;
        }
        catch (CommandException wrong)
        {
            answers.WriteLine($"error: {wrong.Message}");
            return false;
        }
        catch (InvalidOperationException failed)
        {
            answers.WriteLine($"error: {failed.Message}");
            return false;
        }
    }

    private static string Execute(EmbeddedBroker broker, string[] words)
    {
        switch (words[0].ToLowerInvariant())
        {
            case "down":
                Expect(words, 2, "down N");
                broker.Down(Broker(broker, words[1]));
                return $"broker {words[1]} is down";
            case "up":
                Expect(words, 2, "up N");
                broker.Up(Broker(broker, words[1]));
                return $"broker {words[1]} is up";
            case "rtt":
                Expect(words, 3, "rtt N MS");
                var delay = Number(words[2], "MS", 0, 600_000);
                broker.SetRoundTrip(Broker(broker, words[1]), delay);
                return $"broker {words[1]} answers after {delay} ms";
            case "errors":
                if (words.Length < 3) throw new CommandException("expected: errors API CODE..., for example: errors Produce NotEnoughReplicas");
                var api = Api(words[1]);
                var codes = words.Skip(2).Select(Code).ToArray();
                broker.PushErrors(api, codes);
                return $"the next {codes.Length} {api} requests fail with {string.Join(", ", codes)}";
            case "topic":
                Expect(words, 3, "topic NAME PARTITIONS");
                var partitions = Number(words[2], "PARTITIONS", 1, 10_000);
                broker.CreateTopic(words[1], partitions);
                return $"topic {words[1]} has {partitions} partitions";
            default:
                throw new CommandException($"unknown command {words[0]}; commands are: {Commands}");
        }
    }

    private static void Expect(string[] words, int count, string form)
    {
        if (words.Length != count) throw new CommandException($"expected: {form}");
    }

    private static int Broker(EmbeddedBroker broker, string word) => Number(word, "broker", 1, broker.BrokerCount);

    private static int Number(string word, string name, int least, int most)
    {
        if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most) return number;
        throw new CommandException($"{name} is {word}: must be a number from {least} to {most}");
    }

    private static KafkaApi Api(string word)
    {
        if (!char.IsAsciiDigit(word[0]) && Enum.TryParse<KafkaApi>(word, ignoreCase: true, out var api)) return api;
        if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && Enum.IsDefined((KafkaApi)number)) return (KafkaApi)number;
        throw new CommandException($"API is {word}: must be one of {string.Join(", ", Enum.GetNames<KafkaApi>())}");
    }

    /// <summary>Accepts NotEnoughReplicas, NOT_ENOUGH_REPLICAS, not-enough-replicas, and any number of Kafka's protocol.</summary>
    private static BrokerError Code(string word)
    {
        if (short.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)) return (BrokerError)number;
        var plain = Plain(word);
        foreach (var code in Enum.GetValues<BrokerError>())
        {
            if (Plain(code.ToString()) == plain) return code;
        }

        throw new CommandException($"CODE is {word}: must be the number of a Kafka error, or one of {string.Join(", ", Enum.GetNames<BrokerError>())}");
    }

    private static string Plain(string name) => name.Replace("_", "").Replace("-", "").ToUpperInvariant();

    private sealed class CommandException(string message) : Exception(message);
}
