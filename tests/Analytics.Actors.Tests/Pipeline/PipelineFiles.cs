using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Cli;

namespace Analytics.Actors.Tests.Pipeline;

/// <summary>The default pipeline, changed copies of it, and what <c>config check</c> says of them.</summary>
internal static class PipelineFiles
{
    private static readonly JsonDocumentOptions WithComments = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    public static string Folder { get; } = Path.Combine(FindRoot(), "cluster-config");
    public static string Default { get; } = Path.Combine(Folder, "pipeline.json");

    public static JsonObject DefaultJson() => (JsonObject)JsonNode.Parse(File.ReadAllBytes(Default), documentOptions: WithComments)!;

    public static PipelineConfiguration DefaultConfiguration()
    {
        var reading = PipelineReader.Read(File.ReadAllBytes(Default), Default);
        reading.Problems.ShouldBeEmpty();
        return reading.Configuration.ShouldNotBeNull();
    }

    /// <summary>Reads a pipeline that must be valid.</summary>
    public static PipelineConfiguration Valid(string text)
    {
        var reading = PipelineReader.Read(Encoding.UTF8.GetBytes(text), "pipeline.json");
        reading.Problems.ShouldBeEmpty();
        return reading.Configuration.ShouldNotBeNull();
    }

    /// <summary>A pipeline with one topic "T" (its options given) and one module "m" that reads it.</summary>
    public static string WithTopic(string options) =>
        $$"""{ "topics": { "T": { {{options}} } }, "modules": { "m": { "topics": ["T"] } } }""";

    /// <summary>A pipeline with topics "T" and "G" (global) and one module "m" with the options given.</summary>
    public static string WithModule(string options) =>
        $$"""{ "topics": { "T": {}, "G": { "scope": "global" } }, "modules": { "m": { {{options}} } } }""";

    /// <summary>Writes the text to a file of its own and checks it.</summary>
    public static CheckRun Check(string text) => Check(Encoding.UTF8.GetBytes(text));

    public static CheckRun Check(byte[] bytes)
    {
        var folder = Directory.CreateTempSubdirectory("pipeline-test-");
        try
        {
            var file = Path.Combine(folder.FullName, "pipeline.json");
            File.WriteAllBytes(file, bytes);
            return CheckFile(file);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    public static CheckRun CheckFile(string file, bool json = false)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var exitCode = ConfigCheck.Run(file, null, json, output, error);
        return new CheckRun(file, exitCode, output.ToString(), error.ToString());
    }

    private static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Analytics.Actors.sln"))) directory = directory.Parent;
        return directory?.FullName ?? throw new DirectoryNotFoundException("Analytics.Actors.sln is in no folder above the tests");
    }
}

/// <summary>One run of <c>config check</c>.</summary>
internal sealed record CheckRun(string File, int ExitCode, string Output, string Error)
{
    public IReadOnlyList<string> Lines => Error.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
}
