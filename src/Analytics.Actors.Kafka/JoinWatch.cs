using Confluent.Kafka;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Knows where a consumer stands with its group. The client tells of that nowhere but in its debug log. Three things depend on it:
/// while it has asked to join and waits for the answer it must not commit: the commit would wait behind that question on the
/// same connection, and come to the broker with a generation that is over then. The client (librdkafka before 2.10, issue 4059)
/// takes the refusal for the loss of all its partitions and joins anew, which makes one more rebalance for everybody.
/// And in a rebalance it must not subscribe to other topics: the client puts that off, and where it is closed before it has come
/// to it, it ends the process (an assertion of librdkafka 2.0.2 about its subscription).
/// And while it waits to be answered what it has told, or is about to tell, of a rebalance, nothing must be assigned or unassigned for
/// reasons of our own: the client takes that for the answer, and lets partitions go before they were released.
/// </summary>
internal sealed class JoinWatch
{
    private const string Change = " changed join state ";
    private const string Arrow = " -> ";
    private const string Subscribing = ": subscribe to new ";
    private const string PuttingOff = ": postponing subscribe until ";
    private const string Waiting = "wait-join";
    private const string Steady = "steady";
    private static readonly string[] Asking = ["wait-assign-call", "wait-unassign-call"];

    // A member that leaves, or has lost its partitions, gives them back first; the question is still on its way.
    private const string GivingBack = "wait-unassign";

    private readonly ClientLogger logger;
    private readonly bool isDebugWanted;
    private readonly Lock gate = new();
    private bool isJoining;
    private bool isSteady;
    private bool isAsking;
    private bool isPuttingOff;

    // Who waits: told true when the answer is there, false when it is no longer worth waiting for.
    private TaskCompletionSource<bool> answered = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="configuration">Of the consumer, whose log it has written.</param>
    public JoinWatch(Dictionary<string, string> configuration, ClientLogger logger)
    {
        this.logger = logger;
        isDebugWanted = configuration.TryGetValue("debug", out var given) && given.Length > 0;
        configuration["debug"] = isDebugWanted ? $"{given},cgrp" : "cgrp";
    }

    public bool IsJoining
    {
        get
        {
            lock (gate) return isJoining;
        }
    }

    /// <summary>The member has its place in the group, and no rebalance is under way as far as it has heard.</summary>
    public bool IsSteady
    {
        get
        {
            lock (gate) return isSteady;
        }
    }

    /// <summary>The client waits for partitions to be assigned or unassigned by a callback, which comes with one of the next polls.</summary>
    public bool IsAsking
    {
        get
        {
            lock (gate) return isAsking;
        }
    }

    /// <summary>The client has put a change of topics off, for a rebalance that was under way though nothing had been heard of it.</summary>
    public bool IsPuttingOff
    {
        get
        {
            lock (gate) return isPuttingOff;
        }
    }

    /// <summary>Takes the client's log, and passes on what was asked for.</summary>
    public void Log(LogMessage message)
    {
        var isDebug = message.Level == SyslogLevel.Debug;
        if (isDebug && message.Message.IndexOf(Change, StringComparison.Ordinal) is var at and >= 0)
        {
            // Such as "wait-join -> wait-sync (state up)".
            var states = message.Message.AsSpan(at + Change.Length);
            if (states.IndexOf(Arrow, StringComparison.Ordinal) is var arrow and >= 0) Changed(states[..arrow], states[(arrow + Arrow.Length)..]);
        }

        // It says so each time that it comes to it.
        if (isDebug && message.Message.Contains(Subscribing, StringComparison.Ordinal)) PutOff(false);
        else if (isDebug && message.Message.Contains(PuttingOff, StringComparison.Ordinal)) PutOff(true);
        if (!isDebug || isDebugWanted) logger.Native(message);
    }

    /// <summary>True when no answer is outstanding (any more); false where <see cref="GiveUp"/> came first.</summary>
    public Task<bool> AnsweredAsync()
    {
        lock (gate) return isJoining ? answered.Task : Task.FromResult(true);
    }

    /// <summary>What is waited for no longer matters: partitions are given back, or gone.</summary>
    public void GiveUp() => Release(false);

    private void Changed(ReadOnlySpan<char> from, ReadOnlySpan<char> to)
    {
        lock (gate)
        {
            isSteady = to.StartsWith(Steady);
            isAsking = to.StartsWith(Asking[0]) || to.StartsWith(Asking[1]);
        }

        if (to.StartsWith(Waiting))
        {
            lock (gate) isJoining = true;
        }
        else if (from.SequenceEqual(Waiting) && !to.StartsWith(GivingBack))
        {
            Release(true);
        }
    }

    private void PutOff(bool isSo)
    {
        lock (gate) isPuttingOff = isSo;
    }

    private void Release(bool isAnswered)
    {
        lock (gate)
        {
            if (isAnswered) isJoining = false;
            answered.TrySetResult(isAnswered);
            answered = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }
}
